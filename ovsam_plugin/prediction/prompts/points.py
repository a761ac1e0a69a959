"""One object named by clicks."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ovsam_plugin.prediction.prompts.prompt import Inputs, Mapping, Prompt, Size, factors


@dataclass(frozen=True)
class Points(Prompt):
    """One object named by clicks on it, and clicks on what is not it.

    Attributes:
        xy: one or more (x, y) in pixels of the original image.
        labels: 1 for a point on the object, 0 for a point off it; all 1 when not given.
        id: whatever names the label that asks.

    Raises:
        ValueError: no positive point, a coordinate that is not finite, or labels that do not match.
    """

    kind: ClassVar[str] = "point"
    xy: tuple[tuple[float, float], ...]
    labels: tuple[int, ...] = ()
    id: str | None = None

    def __post_init__(self) -> None:
        xy = tuple((float(x), float(y)) for x, y in self.xy)
        labels = tuple(int(v) for v in self.labels) or (1,) * len(xy)
        object.__setattr__(self, "xy", xy)
        object.__setattr__(self, "labels", labels)
        if not xy:
            raise ValueError("a point prompt needs at least one point")
        if len(labels) != len(xy):
            raise ValueError(
                f"{len(xy)} points with {len(labels)} labels: need one label per point"
            )
        if not set(labels) <= {0, 1}:
            raise ValueError(f"point labels are 1 (object) or 0 (not object), got {set(labels)}")
        if 1 not in labels:
            raise ValueError("a point prompt needs at least one positive point (label 1)")
        if not all(math.isfinite(v) for p in xy for v in p):
            raise ValueError(f"points {xy} have a coordinate that is not finite")

    def on_image(self, width: int, height: int) -> Points:
        """These points, all of which must lie on the image.

        Raises:
            ValueError: a point lies outside.
        """
        for x, y in self.xy:
            if not (0 <= x <= width and 0 <= y <= height):
                raise ValueError(f"point ({x:g}, {y:g}) lies outside the {width} x {height} image")
        return self

    def mapped(self, to: Mapping) -> Points:
        return replace(self, xy=tuple((x, y) for x, y in to(np.array(self.xy)).tolist()))

    def inputs(self, size: Size, frame: Size) -> Inputs:
        return {
            "points": np.array(self.xy) * factors(size, frame),
            "point_labels": np.array(self.labels),
        }

    @property
    def shape(self) -> tuple[str, int]:
        """As many points are decoded together."""
        return self.kind, len(self.xy)

    @property
    def pointed_at(self) -> tuple[float, float] | None:
        """The first point on the object."""
        return self.xy[self.labels.index(1)]

    def clicked(self, x: float, y: float, on: bool) -> Points:
        return replace(self, xy=(*self.xy, (x, y)), labels=(*self.labels, int(on)))

    def numbers(self) -> list[float]:
        """x, y, label of each point."""
        return [float(v) for (x, y), on in zip(self.xy, self.labels) for v in (x, y, on)]

    def to_json(self) -> dict[str, Any]:
        return {"points": [[x, y, on] for (x, y), on in zip(self.xy, self.labels)]}
