# --8<-- [start:encode]
ovsam encode my-dataset
# --8<-- [end:encode]
