"""Who labels besides the process that asks: several devices of a machine, or a cluster."""
