# --8<-- [start:curate]
ovsam search my-dataset "a cup of coffee"
ovsam relabel my-dataset --vocabulary "bus, tram, truck" --into vehicles_too
ovsam score my-dataset
# --8<-- [end:curate]
