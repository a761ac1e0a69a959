"""A run of several processes, started by `test_loop`: `torchrun two_processes.py OUT BATCH`."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from accelerate import PartialState
from rich.console import Console
from torch import Tensor, nn

from ovsam_plugin.training.loop import Recipe, Schedule, epochs, run

SCHEDULE = Schedule(
    steps=20, learning_rate=0.02, warmup=2, ema=0.5, checkpoint_every=5, validate_every=10
)


class Fit(Recipe):
    """A fit without chance, and a parameter that only every other batch needs."""

    name = "fit"
    epoch_steps = 6

    def __init__(self, batch: int) -> None:
        super().__init__()
        chance = torch.Generator().manual_seed(0)
        self.batch, self.x = batch, torch.randn(24, 3, generator=chance)
        self.weight = nn.Parameter(torch.randn(3, generator=chance))
        self.rare = nn.Parameter(torch.ones(1))

    def batches(self, start: int, rank: int, world: int) -> Iterator[tuple[int, Tensor]]:
        step = start
        for part in epochs(len(self.x), self.batch, 0, start, rank, world):
            for rows in part:
                yield step, self.x[rows]
                step += 1

    def forward(self, batch: tuple[int, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        step, x = batch
        scale = self.rare if step % 2 else 1.0
        return {"fit": (scale * (x @ self.weight).tanh() - x.sum(1)).square().mean()}

    def validate(self) -> dict[str, float]:
        return {"weight": float(self.weight.detach()[0])}

    def export(self, out: Path) -> None:
        torch.save({k: v.detach() for k, v in self.state_dict().items()}, out / "averages.pt")


def main(out: Path, batch: int) -> None:
    """Every process leaves the weights it ended with."""
    recipe = Fit(batch)
    run(recipe, out, SCHEDULE, Console(file=io.StringIO()))
    torch.save(recipe.state_dict(), out / f"process-{PartialState().process_index}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
