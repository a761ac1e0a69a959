"""The one type of a mask: cut to a box that holds it, at one bit a pixel.

Nothing here paints a whole photograph but `on`, for libraries that demand one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ovsam_plugin.images.rle import decode_crop, encode_crop

IntBox = tuple[int, int, int, int]
"""xyxy in pixels, x2 and y2 exclusive."""
_CELLS_AT_ONCE = 64


def crop_mask(mask: npt.NDArray[np.bool_]) -> tuple[IntBox, npt.NDArray[np.bool_]]:
    """A mask's own box and what is inside it.

    Args:
        mask: (H, W) bool.

    Returns:
        xyxy, x2 and y2 exclusive, and the (y2 - y1, x2 - x1) crop; zeros if no pixel is on.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return (0, 0, 0, 0), np.zeros((0, 0), dtype=bool)
    y1, y2, x1, x2 = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    return (x1, y1, x2, y2), np.ascontiguousarray(mask[y1:y2, x1:x2])


@dataclass(frozen=True, eq=False, slots=True)
class MaskCrop:
    """A mask cut to a box that holds it. Made by `at` and the other class methods.

    Attributes:
        x, y: the box's top-left pixel on the image.
        shape: (h, w) of the box; (0, 0) for an empty mask that `at` cut.
        bits: its h * w pixels, row after row, packed to uint8.
        area: pixels of the mask.
    """

    x: int
    y: int
    shape: tuple[int, int]
    bits: npt.NDArray[np.uint8]
    area: int

    @classmethod
    def pack(cls, mask: npt.NDArray[np.bool_], x: int = 0, y: int = 0) -> MaskCrop:
        """A (h, w) bool mask whose top-left pixel lies at (x, y), as large as it is given."""
        height, width = mask.shape
        return cls(x, y, (height, width), np.packbits(mask), int(np.count_nonzero(mask)))

    @classmethod
    def at(cls, mask: npt.NDArray[np.bool_], x: int = 0, y: int = 0) -> MaskCrop:
        """A (h, w) bool mask whose top-left pixel lies at (x, y), cut to its own box."""
        (left, top, _, _), crop = crop_mask(mask)
        return cls.pack(crop, x + left, y + top) if crop.size else NOTHING

    @classmethod
    def over_box(
        cls, mask: npt.NDArray[np.bool_], box: IntBox, image_size: tuple[int, int]
    ) -> MaskCrop:
        """A mask of any size stretched over a box, by its nearest pixels, and cut to the image.

        Args:
            mask: (h, w) bool.
            box: it may reach outside the image, however far.
            image_size: (height, width).
        """
        if not mask.size:
            return NOTHING
        corner, indices = [], []
        for start, stop, limit, source in (
            (box[1], box[3], image_size[0], mask.shape[0]),
            (box[0], box[2], image_size[1], mask.shape[1]),
        ):
            first = max(start, 0)
            inside = np.arange(first, max(min(stop, limit), first)) - start
            indices.append(inside * source // max(stop - start, 1))
            corner.append(first)
        return cls.at(mask[np.ix_(*indices)], corner[1], corner[0])

    @classmethod
    def of_polygons(
        cls, rings: Sequence[npt.NDArray[np.int32]], image_size: tuple[int, int]
    ) -> MaskCrop:
        """Polygons filled together, even-odd, their corners' pixels among them.

        Args:
            rings: (P, 2) int32 pixels (x, y) each; they may lie outside the image.
            image_size: (height, width).
        """
        if not rings:
            return NOTHING
        corners = np.concatenate(rings)
        x1, y1 = np.maximum(corners.min(0), 0).tolist()
        x2, y2 = np.minimum(corners.max(0) + 1, image_size[::-1]).tolist()
        if x2 <= x1 or y2 <= y1:
            return NOTHING
        canvas = np.zeros((y2 - y1, x2 - x1), dtype=np.uint8)
        cv2.fillPoly(canvas, [ring - np.array([x1, y1], dtype=np.int32) for ring in rings], 1)
        return cls.at(canvas > 0, x1, y1)

    @classmethod
    def of_segmentation(
        cls, segmentation: object, image_size: tuple[int, int] | None = None
    ) -> MaskCrop:
        """COCO's polygons or run lengths, to the pixel as pycocotools has them.

        Args:
            segmentation: as `rle.decode_segmentation` takes it.
            image_size: (height, width); polygons cannot do without.

        Raises:
            ValueError: as `rle.decode_segmentation` does.
        """
        (x, y), mask = decode_crop(segmentation, image_size)
        return cls.at(mask, x, y)

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """(h, w) bool, the mask inside the box."""
        height, width = self.shape
        flat = np.unpackbits(self.bits, count=height * width)
        return flat.reshape(self.shape).view(np.bool_)

    @property
    def box(self) -> IntBox:
        """xyxy in pixels, x2 and y2 exclusive."""
        return self.x, self.y, self.x + self.shape[1], self.y + self.shape[0]

    def moved(self, x: int, y: int) -> MaskCrop:
        """The same mask with its top-left pixel at (x, y)."""
        return replace(self, x=x, y=y)

    def window(self, box: IntBox) -> npt.NDArray[np.bool_]:
        """What is seen of the mask through a box: (y2 - y1, x2 - x1) bool."""
        x1, y1, x2, y2 = box
        seen = np.zeros((max(y2 - y1, 0), max(x2 - x1, 0)), dtype=bool)
        left, top, right, bottom = _shared(self.box, box)
        if right > left and bottom > top:
            part = self.mask[top - self.y : bottom - self.y, left - self.x : right - self.x]
            seen[top - y1 : bottom - y1, left - x1 : right - x1] = part
        return seen

    def on(self, image_size: tuple[int, int]) -> npt.NDArray[np.bool_]:
        """The mask on a whole image of (height, width)."""
        return self.window((0, 0, image_size[1], image_size[0]))

    def inside(self, box: tuple[float, float, float, float]) -> MaskCrop:
        """The mask without what lies outside a box; a pixel that the box touches stays."""
        outer = math.floor(box[0]), math.floor(box[1]), math.ceil(box[2]), math.ceil(box[3])
        part = _shared(self.box, outer)
        return MaskCrop.at(self.window(part), part[0], part[1])

    def rle(self, image_size: tuple[int, int]) -> dict[str, Any]:
        """As compressed run lengths of an image of (height, width).

        Raises:
            ValueError: the box reaches outside the image.
        """
        return encode_crop(self.mask, (self.x, self.y), image_size)

    def shares(self, image_size: tuple[int, int], size: tuple[int, int]) -> npt.NDArray[np.float32]:
        """How much of each pixel of the resized image the mask covers.

        As `F.interpolate(mode="area")` of the mask on the whole image, which is not made.

        Args:
            image_size: (height, width) of the image.
            size: (h, w) of the resized image.

        Returns:
            (h, w) float32 in 0..1.
        """
        shares = np.zeros(size, dtype=np.float32)
        if not self.area:
            return shares
        mask = self.mask.view(np.uint8)
        columns, left, right = _cells(self.x, self.x + self.shape[1], image_size[1], size[1])
        rows, top, bottom = _cells(self.y, self.y + self.shape[0], image_size[0], size[0])
        for start in range(0, len(top), _CELLS_AT_ONCE):
            part = slice(start, start + _CELLS_AT_ONCE)
            first = top[part][0]
            sums = cv2.integral(mask[first : bottom[part][-1]])
            below, above = sums[bottom[part] - first], sums[top[part] - first]
            on = below[:, right] - below[:, left] - above[:, right] + above[:, left]
            shares[rows][part, columns] = on
        shares /= np.multiply.outer(*map(_lengths, image_size, size))
        return shares


NOTHING = MaskCrop.pack(np.zeros((0, 0), dtype=bool))
"""A mask without a pixel."""


def _shared(a: IntBox, b: IntBox) -> IntBox:
    """What two boxes share; inverted where that is nothing."""
    return max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])


def _cells(
    start: int, stop: int, pixels: int, cells: int
) -> tuple[slice, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Which cells of a resized axis lie on pixels start to stop of the original.

    Returns:
        The cells, and where each begins and ends on those pixels; two may share one.
    """
    there = slice(start * cells // pixels, (stop * cells - 1) // pixels + 1)
    begins, ends = _edges(pixels, cells)
    return there, begins[there].clip(min=start) - start, ends[there].clip(max=stop) - start


def _edges(pixels: int, cells: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where each cell of a resized axis begins and ends on the original's pixels."""
    index = np.arange(cells)
    return index * pixels // cells, -(-(index + 1) * pixels // cells)


def _lengths(pixels: int, cells: int) -> npt.NDArray[np.float32]:
    begins, ends = _edges(pixels, cells)
    return (ends - begins).astype(np.float32)
