"""A recipe so small that a run of it takes no time, and what its runs leave."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor, nn

from ovsam_plugin.training.loop import Recipe, Schedule, epochs

SCHEDULE = Schedule(
    steps=9, learning_rate=0.05, warmup=2, ema=0.5, checkpoint_every=3, validate_every=1
)


class Line(Recipe):
    """A fit with every kind of chance in it: the order, dropout, and the step's generator."""

    name = "line"
    epoch_steps = 4

    def __init__(self, stop_at: int | None = None, features: int = 3) -> None:
        super().__init__()
        self.stop_at, self.taken = stop_at, 0
        chance = torch.Generator().manual_seed(0)
        self.x = torch.randn(9, features, generator=chance)
        self.inner = nn.Linear(features, 4)
        self.outer = nn.Linear(4, 1)
        self.frozen = nn.Linear(1, 1).requires_grad_(False)
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=chance)
        self.validated: list[dict[str, Tensor]] = []

    def batches(self, start: int, rank: int, world: int) -> Iterator[Tensor]:
        for part in epochs(len(self.x), 2, 0, start, rank, world):
            for rows in part:
                yield self.x[rows]

    def forward(self, batch: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        if self.taken == self.stop_at:
            raise KeyboardInterrupt
        self.taken += 1
        noisy = batch + 0.1 * torch.randn(batch.shape, generator=generator)
        hidden = nn.functional.dropout(self.inner(noisy).tanh(), 0.3, self.training)
        wrong = self.outer(hidden)[:, 0] - batch.sum(1)
        return {"fit": wrong.square().mean(), "size": 1e-3 * self.outer.weight.square().sum()}

    def rate(self, name: str) -> float:
        return 0.5 if name.startswith("inner") else 1.0

    def validate(self) -> dict[str, float]:
        self.eval()
        self.validated.append({k: v.clone() for k, v in self.state_dict().items()})
        return {"first": float(self.outer.bias.detach())}

    def export(self, out: Path) -> None:
        torch.save(self.state_dict(), out / "line.pt")


def quiet() -> Console:
    return Console(file=io.StringIO(), width=120)


def log_rows(out: Path) -> list[tuple[int, str, str]]:
    with (out / "log.csv").open() as file:
        return [(int(r["step"]), r["name"], r["value"]) for r in csv.DictReader(file)]


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def exported(out: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = torch.load(out / "line.pt", weights_only=True)
    return state
