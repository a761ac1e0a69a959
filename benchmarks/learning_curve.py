"""What limits `ovsam-lite`: photographs, steps, or width?

    python benchmarks/learning_curve.py recipes/lite.toml OUT [--steps N]

Trains the recipe anew with an eighth, a quarter, a half and all of its photographs, and with heads
half and one and a half times as wide, each for as many steps, and prints how good each is on crops
of the photographs kept for choosing, along the way too. A run that was ended goes on from its last
checkpoint, and one that is done is not made again.
"""

from __future__ import annotations

import argparse
import csv
import sys
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ovsam_plugin.network.description import NetworkDescription  # noqa: E402
from ovsam_plugin.presets import get_preset  # noqa: E402
from ovsam_plugin.training.config import read_config  # noqa: E402
from ovsam_plugin.training.lite import LiteRecipe  # noqa: E402
from ovsam_plugin.training.loop import run  # noqa: E402

# Share of the photographs, and width of every head as a share of the preset's.
RUNS = ((1.0, 1.0), (0.25, 1.0), (0.5, 1.0), (0.125, 1.0), (1.0, 0.5), (1.0, 1.5))
FIGURES = ("box IoU", "point IoU", "found by 50", "things of the best 5", "top-1")


def wide(network: NetworkDescription, width: float) -> NetworkDescription:
    """The network with heads of another width; its encoder stays."""

    def scaled(size: int) -> int:
        return round(size * width)

    return replace(
        network,
        neck_dim=scaled(network.neck_dim),
        channels=scaled(network.channels),
        decoder_mlp=scaled(network.decoder_mlp),
        fpn_channels=scaled(network.fpn_channels),
        pooled_hidden=scaled(network.pooled_hidden),
        region_width=scaled(network.region_width),
    )


def validations(log: Path) -> dict[int, dict[str, float]]:
    """What the log of a run says of photographs kept for choosing, by step."""
    found: dict[int, dict[str, float]] = {}
    with log.open() as file:
        for row in csv.DictReader(file):
            kind, _, name = row["name"].partition("/")
            if kind == "validation":
                found.setdefault(int(row["step"]), {})[name] = float(row["value"])
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=600)
    args = parser.parse_args()
    config = read_config("lite", args.recipe)
    schedule = replace(config.schedule, steps=args.steps, validate_every=args.steps // 2)
    console = Console()
    table = Table("photographs", "width", "parameters", "step", *FIGURES)
    for share, width in RUNS:
        out = args.out / f"share-{share:g}-width-{width:g}"
        torch.manual_seed(schedule.seed)
        network = wide(get_preset("ovsam-lite").network, width)
        recipe = LiteRecipe(replace(config.settings, share=share), network)
        run(recipe, out, schedule, console)
        size = sum(p.numel() for p in recipe.network.parameters()) / 1e6
        for step, values in sorted(validations(out / "log.csv").items()):
            figures = (f"{values[name]:.3f}" for name in FIGURES)
            table.add_row(str(len(recipe.data)), f"{width:g}", f"{size:.1f} M", str(step), *figures)
    console.print(table)


if __name__ == "__main__":
    main()
