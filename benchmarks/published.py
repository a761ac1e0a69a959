"""The published path at its real size: how much crosses the wire, how long it takes, and that the
golden cases still hold at the end of it.

    python benchmarks/published.py FOLDER [--cases tests/golden]

Files of the published layout are written into FOLDER (about 1.3 GB, and 3 GB more while it runs)
with the weights of the golden recipe, served on this machine, fetched, verified, assembled,
converted and loaded. Nothing is downloaded. Exit code 1 if a limit is exceeded.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

NAME = "ovsam-rn50x16-lvis"
LIMIT = 1.5
"""Times reading the file's bytes, and times its size in memory."""


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--cases", type=Path, help="also run the golden cases of this folder")
    parser.add_argument("--load", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.load is not None:
        return load(args.load)
    return fetch(args.folder, args.cases)


def fetch(folder: Path, cases: Path | None) -> int:
    """Everything up to the file, then the loading of it in a process of its own."""
    from benchmarks import parity
    from ovsam_plugin.checkpoints import store
    from ovsam_plugin.prediction.predictor import load_predictor
    from ovsam_plugin.presets import get_preset
    from tests.checkpoints import layout
    from tests.checkpoints.server import serve

    console = Console(highlight=False)
    preset = layout.preset_of(get_preset(NAME).network, NAME)
    assert preset.release is not None
    if not (folder / "served" / "RN50x16.pt").is_file():
        layout.write_set(folder / "served", preset.network, preset.release)
    os.environ.update(OVSAM_CACHE_DIR=str(folder / "cache"))
    if store.model_path(preset).is_file():
        store.remove(store.model_path(preset))
    for path in store.parts():
        store.remove(path)
    with serve(folder / "served") as server:
        os.environ["OVSAM_MIRROR"] = server.address
        started = time.perf_counter()
        path = store.obtain(preset, accepted=True)
        seconds = time.perf_counter() - started
    console.print(f"{path.name}: {path.stat().st_size / 1e6:,.1f} MB, made in {seconds:.1f} s")
    for name, sent in server.sent.items():
        size = (folder / "served" / name).stat().st_size
        console.print(f"  {name}: {sent:,} of {size:,} bytes crossed the wire")
    command = [sys.executable, __file__, str(folder), "--load", str(path)]
    failed = subprocess.run(command, check=False).returncode
    if cases is not None:
        golden = parity.Golden(cases)
        golden._predictors["RN50x16"] = load_predictor(preset, device="cpu", precision="fp32")
        results = list(parity.compare_features(golden, "RN50x16", "a"))
        for case in golden.cases:
            if case["model"] == "RN50x16":
                results.extend(parity.compare_case(golden, case))
        off = [result for result in results if not result.passed]
        console.print(f"{len(results)} golden tensors, {len(off)} outside their tolerance")
        failed = failed or bool(off)
    return int(failed)


def load(path: Path) -> int:
    """Reading the bytes, loading the network, and the memory that it took; the best of three."""
    from ovsam_plugin.checkpoints.preset_weights import load_network
    from ovsam_plugin.prediction.predictor import Predictor
    from ovsam_plugin.presets import get_preset

    preset, size = get_preset(NAME), path.stat().st_size
    reading, loading, whole = [], [], []
    for _ in range(3):
        started = time.perf_counter()
        network, digest = load_network(preset, path)
        loading.append(time.perf_counter() - started)
        predictor = Predictor(network, preset, digest)
        whole.append(time.perf_counter() - started)
        del network, predictor
    # Not ru_maxrss, in which the process that started this one still counts.
    status = Path("/proc/self/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024
    for _ in range(3):
        started = time.perf_counter()
        path.read_bytes()
        reading.append(time.perf_counter() - started)
    ratio, memory = min(loading) / min(reading), peak / size
    Console(highlight=False).print(
        f"reading its bytes {min(reading):.2f} s, loading the network {min(loading):.2f} s "
        f"({ratio:.2f} times), with a predictor laid out for speed {min(whole):.2f} s; peak memory "
        f"of the process {peak / 1e9:.2f} GB ({memory:.2f} times the file)"
    )
    return int(ratio > LIMIT or memory > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
