"""The state of a training run in one file: what it stands at, and what it is a run of."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn

from ovsam_plugin.files import draft_of

# Settings that change where and how fast weights are made, and not which.
_PLACES = {"workers", "cache", "photographs", "images", "device"}
DAMAGED = (
    UnpicklingError, RuntimeError, EOFError, OSError, LookupError, TypeError, ValueError,
    AttributeError,
)  # fmt: skip


class Checkpoint:
    """The whole state of a run, in one file that is either the old or the new.

    Args:
        path: of the file.
        recipe: its name.
        provenance: what decides the weights beside the schedule; a run with other is refused.

    Attributes:
        schedules: those that the run has had, each with the "step" from which it holds.
    """

    def __init__(self, path: Path, recipe: str, provenance: Mapping[str, Any]) -> None:
        self.path, self.recipe = path, recipe
        self.provenance: dict[str, Any] = json.loads(json.dumps(dict(provenance)))
        self.schedules: list[dict[str, Any]] = []

    def go_on_with(self, schedule: dict[str, Any], step: int) -> None:
        """Notes a schedule, where it is not the last one's."""
        if not self.schedules or {**self.schedules[-1], **schedule} != self.schedules[-1]:
            self.schedules.append({"step": step, **schedule})

    def save(
        self,
        step: int,
        trained: dict[str, nn.Parameter],
        average: dict[str, Tensor],
        optimizer: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler | None,
    ) -> None:
        """Replace the file.

        Raises:
            OSError: it cannot be written.
        """
        state = {
            "recipe": self.recipe,
            "provenance": self.provenance,
            "schedules": self.schedules,
            "step": step,
            "trained": {name: p.detach() for name, p in trained.items()},
            "average": average,
            "optimizer": optimizer.state_dict(),
            "scaler": scaler.state_dict() if scaler else None,
        }
        with draft_of(self.path) as draft:
            try:
                torch.save(state, draft)
            except RuntimeError as error:  # torch's for a disk that is full
                raise OSError(
                    f"{self.path} cannot be written, and the one before stays: is the disk full? "
                    "Make room, and the same command goes on from there"
                ) from error

    def load(
        self,
        trained: dict[str, nn.Parameter],
        average: dict[str, Tensor],
        optimizer: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler | None,
    ) -> int:
        """Put the state back and give its step; 0 where there is no file.

        Raises:
            ValueError: it is damaged, of another recipe, of other settings or data, or of other
                trained parameters.
        """
        if not self.path.exists():
            return 0
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            recipe, step = state["recipe"], int(state["step"])
            found = {name: t.shape for name, t in state["trained"].items()}
            groups = len(state["optimizer"]["param_groups"])
        except DAMAGED as error:
            raise ValueError(
                f"{self.path} is not a valid checkpoint: remove it to start again"
            ) from error
        shapes = {name: p.shape for name, p in trained.items()}
        other = list(_differences(state.get("provenance", self.provenance), self.provenance))
        if recipe != self.recipe or (found != shapes and not other):
            raise ValueError(
                f"{self.path} is a checkpoint of {recipe} with other parameters: "
                "give a new output folder, or remove it to start again"
            )
        if other or groups != len(optimizer.param_groups):
            told = f" ({'; '.join(other[:3])}{'; ...' if len(other) > 3 else ''})" if other else ""
            raise ValueError(
                f"{self.path} is of a run with other settings or data{told}: give those, or "
                "another output folder, or remove it to start again"
            )
        for name, parameter in trained.items():
            parameter.data.copy_(state["trained"][name])
            average[name].copy_(state["average"][name])
        optimizer.load_state_dict(state["optimizer"])
        if scaler and state.get("scaler"):  # a run may go on in another precision
            scaler.load_state_dict(state["scaler"])
        self.schedules = state.get("schedules", [])
        return step


def recorded(settings: Any) -> dict[str, Any]:
    """Settings, a dataclass, as JSON has them, without the folders of the machine."""
    return {name: _plain(value) for name, value in asdict(settings).items()}


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return value.name
    return [_plain(v) for v in value] if isinstance(value, (tuple, list)) else value


def _differences(before: object, now: object, name: str = "") -> Iterator[str]:
    """Each value that is another, by the last part of its name."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted({*before, *now} - _PLACES):
            yield from _differences(before.get(key), now.get(key), key)
    elif before != now:
        yield f"{name} was {_short(before)} and is {_short(now)}"


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:37]}..."
