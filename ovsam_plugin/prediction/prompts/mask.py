"""An instance that already has a mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ovsam_plugin.images.mask_crop import MaskCrop
from ovsam_plugin.prediction.prompts.prompt import Inputs, Mapping, Prompt, Size, factors


@dataclass(frozen=True, eq=False, init=False)
class Mask(Prompt):
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

    def mapped(self, to: Mapping) -> Mask:
        """Cannot be: its pixels are the photograph's.

        Raises:
            TypeError: always.
        """
        raise TypeError(f"a {self.kind} prompt has a size of its own")

    def inputs(self, size: Size, frame: Size) -> Inputs:
        return {
            "boxes": np.array(self.crop.box) * np.tile(factors(size, frame), 2),
            "masks": self.crop.shares(size, frame),
        }

    @property
    def shape(self) -> tuple[str, int]:
        """Drawn ones are decoded together, and ones that are not."""
        return self.kind, int(self.refine)

    @property
    def drawn(self) -> MaskCrop | None:
        """The mask; None where it is to be drawn anew."""
        return None if self.refine else self.crop
