"""No prompt at all: a lattice of points to look from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ovsam_plugin.prediction.prompts.points import Points
from ovsam_plugin.ranges import check_count


@dataclass(frozen=True)
class Grid:
    """No prompt at all: look everywhere, from a lattice of points.

    Attributes:
        points_per_side: points along the longer side of the image; the shorter side gets as many
            as keep the lattice square.

    Raises:
        ValueError: fewer than one point a side.
    """

    kind: ClassVar[str] = "everything"
    points_per_side: int = 16

    def __post_init__(self) -> None:
        check_count("points_per_side", self.points_per_side)

    def points(self, width: int, height: int) -> tuple[Points, ...]:
        """The lattice as single-point prompts, row by row."""
        step = max(width, height) / self.points_per_side
        nx, ny = max(1, round(width / step)), max(1, round(height / step))
        xs = (np.arange(nx) + 0.5) * width / nx
        ys = (np.arange(ny) + 0.5) * height / ny
        return tuple(Points(xy=((float(x), float(y)),)) for y in ys for x in xs)
