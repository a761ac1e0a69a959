"""What a person or another model points at: boxes, points, masks, or a grid over everything.

All coordinates are pixels of the original image, x to the right and y down, with (0, 0) at the
top-left corner of the top-left pixel. The types check themselves when they are made; whether they
lie on a given image is checked by `on_image`, since only then its size is known.

All that is particular to a kind of prompt is asked of its class here: `kind`, its name in labels;
`shape`, prompts of one of which are decoded together; `drawn`, the mask that is its answer already;
`within`, the box that the whole thing lies in; `clicked`, whether it may mean a part or the whole;
`scaled`, the prompt on the same photograph at another size; `inputs`, what the network reads;
`numbers`, what a label keeps of it. What else a kind has is a row of `dataset.prompt_fields`, for
the labels of FiftyOne that ask so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from ovsam_plugin.images.mask_crop import MaskCrop

Size: TypeAlias = tuple[int, int]
"""(height, width) in pixels."""

Inputs: TypeAlias = dict[str, npt.NDArray[Any]]
"""What `Prompt.inputs(size, frame)` gives: arrays by the fields of `network.PromptBatch`, without
its first axis, in pixels of the frame: the photograph, of that size, as it is resized for the
encoder. A mask is (h, w) float32 there: how much of each pixel of the frame it covers."""


@dataclass(frozen=True)
class Box:
    """One object inside a box.

    Attributes:
        xyxy: (x1, y1, x2, y2) in pixels of the original image; x2 and y2 exclusive.
        id: whatever names the label that asks; returned with the answer.

    Raises:
        ValueError: a coordinate is not finite, or the box has no width or height.
    """

    kind: ClassVar[str] = "box"
    clicked: ClassVar[bool] = False
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

    @property
    def shape(self) -> tuple[str, int]:
        """The same of prompts that are decoded together."""
        return self.kind, 0

    @property
    def drawn(self) -> MaskCrop | None:
        """The mask that is the answer already; None, since one has to be found."""
        return None

    @property
    def within(self) -> tuple[float, float, float, float] | None:
        """The box that the whole thing lies in: this one."""
        return self.xyxy

    def scaled(self, x: float, y: float) -> Box:
        """On the photograph at another size, x times as wide and y times as high."""
        x1, y1, x2, y2 = self.xyxy
        return replace(self, xyxy=(x1 * x, y1 * y, x2 * x, y2 * y))

    def inputs(self, size: Size, frame: Size) -> Inputs:
        """See `Inputs`."""
        return {"boxes": np.array(self.xyxy) * np.tile(_scale(size, frame), 2)}

    def numbers(self) -> list[float]:
        """x1, y1, x2, y2."""
        return list(self.xyxy)


@dataclass(frozen=True)
class Points:
    """One object named by clicks on it, and clicks on what is not it.

    Attributes:
        xy: one or more (x, y) in pixels of the original image.
        labels: 1 for a point on the object, 0 for a point off it; all 1 when not given.
        id: whatever names the label that asks.

    Raises:
        ValueError: no positive point, a coordinate that is not finite, or labels that do not match.
    """

    kind: ClassVar[str] = "point"
    clicked: ClassVar[bool] = True
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

    @property
    def shape(self) -> tuple[str, int]:
        """The same of prompts that are decoded together: those of as many points."""
        return self.kind, len(self.xy)

    @property
    def drawn(self) -> MaskCrop | None:
        """The mask that is the answer already; None, since one has to be found."""
        return None

    @property
    def within(self) -> tuple[float, float, float, float] | None:
        """The box that the whole thing lies in; None, since it is not known."""
        return None

    def scaled(self, x: float, y: float) -> Points:
        """On the photograph at another size, x times as wide and y times as high."""
        return replace(self, xy=tuple((px * x, py * y) for px, py in self.xy))

    def inputs(self, size: Size, frame: Size) -> Inputs:
        """See `Inputs`."""
        return {
            "points": np.array(self.xy) * _scale(size, frame),
            "point_labels": np.array(self.labels),
        }

    def numbers(self) -> list[float]:
        """x, y, label of each point."""
        return [float(v) for (x, y), on in zip(self.xy, self.labels) for v in (x, y, on)]


@dataclass(frozen=True, eq=False, init=False)
class Mask:
    """An instance that already has a mask: to be named, or to be drawn better first.

    Args:
        mask: (H, W) bool, the whole original image; or the mask cut to its box, with `size`.
        refine: False keeps the mask as it is and only names it; True decodes a new mask from it.
        id: whatever names the label that asks.
        size: (height, width) of the original image, for a mask that is cut.

    Attributes:
        crop: the mask, which is kept cut to its own box.
        size: (height, width) of the original image.

    Raises:
        ValueError: the mask is not two-dimensional, has no pixel, its image has no size, or it
            does not lie on it.
    """

    kind: ClassVar[str] = "mask"
    clicked: ClassVar[bool] = False
    crop: MaskCrop
    size: tuple[int, int]
    refine: bool
    id: str | None

    def __init__(
        self,
        mask: npt.NDArray[np.bool_] | MaskCrop,
        refine: bool = False,
        id: str | None = None,
        *,
        size: tuple[int, int] | None = None,
    ) -> None:
        if not isinstance(mask, MaskCrop):
            mask = np.asarray(mask, dtype=bool)
            if mask.ndim != 2:
                raise ValueError(f"a mask prompt is (H, W), got shape {mask.shape}")
            size = size or (mask.shape[0], mask.shape[1])
            mask = MaskCrop.at(mask)
        if size is None:
            raise ValueError("a mask that is cut to its box needs its image's size=(height, width)")
        if not mask.area:
            raise ValueError("a mask prompt needs at least one pixel")
        x1, y1, x2, y2 = mask.box
        if x1 < 0 or y1 < 0 or x2 > size[1] or y2 > size[0]:
            raise ValueError(f"mask {mask.box} does not lie on the {size[1]} x {size[0]} image")
        for name, value in (("crop", mask), ("size", size), ("refine", refine), ("id", id)):
            object.__setattr__(self, name, value)

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """(H, W) bool, the whole original image; made anew each time."""
        return self.crop.on(self.size)

    def on_image(self, width: int, height: int) -> Mask:
        """This mask, which must have the image's own size.

        Raises:
            ValueError: it has another size.
        """
        if self.size != (height, width):
            h, w = self.size
            raise ValueError(f"mask is {w} x {h}, the image is {width} x {height}")
        return self

    @property
    def shape(self) -> tuple[str, int]:
        """The same of prompts that are decoded together: drawn ones, and ones that are not."""
        return self.kind, int(self.refine)

    @property
    def drawn(self) -> MaskCrop | None:
        """The mask that is the answer already; None where it is to be drawn anew."""
        return None if self.refine else self.crop

    @property
    def within(self) -> tuple[float, float, float, float] | None:
        """The box that the whole thing lies in; None, since a mask may be drawn too small."""
        return None

    def scaled(self, x: float, y: float) -> Mask:
        """Cannot be: its pixels are the photograph's.

        Raises:
            TypeError: always.
        """
        raise TypeError(f"a {self.kind} prompt has a size of its own")

    def inputs(self, size: Size, frame: Size) -> Inputs:
        """See `Inputs`."""
        return {
            "boxes": np.array(self.crop.box) * np.tile(_scale(size, frame), 2),
            "masks": self.crop.shares(size, frame),
        }

    def numbers(self) -> list[float]:
        """None: its pixels are the label's own."""
        return []


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
        if self.points_per_side < 1:
            raise ValueError(f"points_per_side must be at least 1, got {self.points_per_side}")

    def points(self, width: int, height: int) -> tuple[Points, ...]:
        """The lattice as single-point prompts, row by row."""
        step = max(width, height) / self.points_per_side
        nx, ny = max(1, round(width / step)), max(1, round(height / step))
        xs = (np.arange(nx) + 0.5) * width / nx
        ys = (np.arange(ny) + 0.5) * height / ny
        return tuple(Points(xy=((float(x), float(y)),)) for y in ys for x in xs)


Prompt: TypeAlias = Box | Points | Mask


def boxes_of(prompts: Iterable[Prompt]) -> list[Box]:
    """Those that are boxes."""
    return [prompt for prompt in prompts if isinstance(prompt, Box)]


def _scale(size: Size, frame: Size) -> npt.NDArray[np.float64]:
    """(2,) factors of x and y from the photograph to the frame."""
    return np.array([frame[1] / size[1], frame[0] / size[0]])
