# --8<-- [start:clone]
git clone <this repository> fiftyone-ovsam
cd fiftyone-ovsam
make demo       # makes .venv, labels real photographs offline, draws them
make app        # opens the FiftyOne App on them
make test       # every check
# --8<-- [end:clone]
