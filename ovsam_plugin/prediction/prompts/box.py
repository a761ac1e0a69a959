"""One object inside a box."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ovsam_plugin.prediction.prompts.prompt import Inputs, Mapping, Prompt, Size, factors


@dataclass(frozen=True)
class Box(Prompt):
    """One object inside a box.

    Attributes:
        xyxy: (x1, y1, x2, y2) in pixels of the original image; x2 and y2 exclusive.
        id: whatever names the label that asks; returned with the answer.

    Raises:
        ValueError: a coordinate is not finite, or the box has no width or height.
    """

    kind: ClassVar[str] = "box"
    xyxy: tuple[float, float, float, float]
    id: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "xyxy", tuple(float(v) for v in self.xyxy))
        if len(self.xyxy) != 4:
            raise ValueError(f"a box is (x1, y1, x2, y2), got {len(self.xyxy)} numbers")
        x1, y1, x2, y2 = self.xyxy
        if not all(map(math.isfinite, self.xyxy)):
            raise ValueError(f"box {self.xyxy} has a coordinate that is not finite")
        if x2 <= x1 or y2 <= y1:
            raise ValueError(f"box {self.xyxy} is empty or inverted: need x2 > x1 and y2 > y1")

    def on_image(self, width: int, height: int) -> Box:
        """This box cut to the image.

        Raises:
            ValueError: the box lies wholly outside.
        """
        x1, y1, x2, y2 = self.xyxy
        cut = (max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height)))
        if cut[2] <= cut[0] or cut[3] <= cut[1]:
            raise ValueError(f"box {self.xyxy} lies outside the {width} x {height} image")
        return replace(self, xyxy=cut)

    def mapped(self, to: Mapping) -> Box:
        x1, y1, x2, y2 = to(np.array(self.xyxy).reshape(2, 2)).ravel().tolist()
        return replace(self, xyxy=(x1, y1, x2, y2))

    def inputs(self, size: Size, frame: Size) -> Inputs:
        return {"boxes": np.array(self.xyxy) * np.tile(factors(size, frame), 2)}

    @property
    def within(self) -> tuple[float, float, float, float]:
        return self.xyxy

    def numbers(self) -> list[float]:
        """x1, y1, x2, y2."""
        return list(self.xyxy)

    def to_json(self) -> dict[str, Any]:
        return {"box": list(self.xyxy)}
