"""What `--compile` costs once and saves afterwards: one photograph through the encoder.

    python benchmarks/compilation.py [--presets ovsam-lite ovsam-rn50x16-coco] [--device cpu]

In the precision that the device suits best, with random weights, which change no time. With and
without are taken in turn, so that a machine whose speed drifts does not favour one.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from copy import deepcopy
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.bench import Bench
from ovsam_plugin.network.ovsam import OVSAM
from ovsam_plugin.prediction.predictor import Predictor
from ovsam_plugin.presets import get_preset


def measure(name: str, bench: Bench) -> tuple[float, float, float]:
    """Seconds of the first compiled call, of one without, and of one with."""
    torch.manual_seed(0)
    preset = get_preset(name)
    network = OVSAM(preset.network).to(bench.device)
    plain, compiled = (
        Predictor(deepcopy(network), preset, "random", "auto", compile=compile)
        for compile in (False, True)
    )
    frame = plain.preprocess(bench.photograph())
    first = bench.seconds(lambda: compiled.encode([frame]))
    plain.encode([frame])
    turns = [
        [bench.seconds(lambda p=one: p.encode([frame])) for one in (plain, compiled)]  # type: ignore[misc]
        for _ in range(bench.turns)
    ]
    without, within = (statistics.median(column) for column in zip(*turns))
    return first, without, within


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--presets", nargs="+", default=["ovsam-lite", "ovsam-rn50x16-coco"])
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    bench = Bench(torch.device(args.device), quick=False)
    table = Table(title=f"{bench.device}, {torch.get_num_threads()} threads, {torch.__version__}")
    for head in ("preset", "first call s", "without s", "compiled s", "times faster"):
        table.add_column(head, justify="left" if head == "preset" else "right")
    for name in args.presets:
        with torch.compiler.config.patch(force_disable_caches=True):  # as on the first day
            first, without, within = measure(name, bench)
        numbers = (f"{first:.1f}", f"{without:.3f}", f"{within:.3f}", f"{without / within:.2f}")
        table.add_row(name, *numbers)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
