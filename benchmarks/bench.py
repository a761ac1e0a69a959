"""A figure, and what it is measured with: two things in turns, so that a machine whose speed drifts
favours neither."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch

from ovsam_plugin.hardware.precision import Precision, computing_in, pick_precision
from ovsam_plugin.network.ovsam import OVSAM
from ovsam_plugin.prediction.predictor import Predictor
from ovsam_plugin.prediction.prompts import Box
from ovsam_plugin.presets import get_preset

Run = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        name: of the row, and what is held against what.
        ratio: the measured one.
        target: what it should be.
        at_least: whether the target is a lower bound.
        met: whether it holds.
    """

    name: str
    ratio: float
    target: float
    at_least: bool = True

    @property
    def met(self) -> bool:
        return self.ratio >= self.target if self.at_least else self.ratio <= self.target


class Bench:
    """What rows are measured with.

    Args:
        device: where.
        quick: for a first look.

    Attributes:
        has_bf16: whether the device multiplies such numbers itself; else rows of it are left out.
    """

    def __init__(self, device: torch.device, quick: bool) -> None:
        self.device = device
        self.quick = quick
        self.turns = 2 if quick else 5
        self.has_bf16 = pick_precision("auto", device) == "bf16"
        self._published: Predictor | None = None

    def published(self) -> Predictor:
        """The published network with random weights."""
        if self._published is None:
            torch.manual_seed(0)
            preset = get_preset("ovsam-rn50x16-coco")
            network = OVSAM(preset.network).to(self.device)
            self._published = Predictor(network, preset, "random")
        return self._published

    def photograph(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """What is on it changes no time, but where everything is asked."""
        import skimage.data

        return np.asarray(cv2.resize(skimage.data.astronaut(), (640, 480)), dtype=np.uint8)

    def boxes(self, count: int) -> list[Box]:
        """Boxes of many sizes on the photograph."""
        corners = np.random.default_rng(1).random((count, 2, 2)) * (638, 478)
        return [
            Box((*a, *b)) for a, b in zip(corners.min(1).tolist(), (corners.max(1) + 2).tolist())
        ]

    def seconds(self, run: Run) -> float:
        """Of one run, the device's work included."""
        start = time.perf_counter()
        run()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    @torch.inference_mode()
    def ratio(self, slow: Run, fast: Run) -> float:
        """How many times faster the second is, after one run of each to warm up."""
        slow(), fast()
        return statistics.median(self.seconds(slow) / self.seconds(fast) for _ in range(self.turns))

    def computing(self, precision: Precision, run: Run) -> Run:
        """The same in a precision."""

        def inside() -> object:
            with computing_in(precision, self.device):
                return run()

        return inside
