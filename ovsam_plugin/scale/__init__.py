"""Where the work of one labelling runs: on several devices of a machine, or on a cluster."""
