"""FiftyOne's labels on the pixels of their photograph."""

from __future__ import annotations

from collections.abc import Sequence

import fiftyone as fo
import numpy as np
import numpy.typing as npt

from ovsam_plugin.images.mask_crop import IntBox, MaskCrop

_ROUNDING = 1
"""Pixels by which other tools' crops and boxes may differ."""
_FARTHEST = 4
"""Sizes of the image that a corner may lie from its own."""


class UnreadableMaskError(ValueError):
    """A label's mask lies in a file that is gone or damaged."""


def crop_of(
    label: fo.Detection, size: tuple[int, int], *, resize_masks: bool = True
) -> MaskCrop | None:
    """A detection's mask on its image, cut at the image's edge.

    FiftyOne stores a mask without its place: it belongs to the pixels of its box, rounded. A mask
    of another size than its box, which somebody has resized, is stretched over it, as the App draws
    it.

    Args:
        label: with a relative box; its mask in the database or a file.
        size: (height, width) of the image in pixels.
        resize_masks: False refuses a mask of another size than its box.

    Returns:
        None where the label has no mask.

    Raises:
        ValueError: as for `pixel_box` and `mask_of`, or the mask and its box differ in size by more
            than a pixel and that is refused.
    """
    pixels = mask_of(label)
    if pixels is None:
        return None
    box = pixel_box(label.bounding_box, size)
    height, width = max(box[3] - box[1], 0), max(box[2] - box[0], 0)
    off = max(abs(pixels.shape[0] - height), abs(pixels.shape[1] - width))
    if off > _ROUNDING and not resize_masks:
        raise ValueError(
            f"the mask of label {label.id} is {pixels.shape[1]} x {pixels.shape[0]} and its box "
            f"{width} x {height} pixels of the {size[1]} x {size[0]} image: exact IoU needs masks "
            "of the image's own size, or masks that are stretched to fit their boxes "
            "(resize_masks)"
        )
    if off <= _ROUNDING:
        box = (box[0], box[1], box[0] + pixels.shape[1], box[1] + pixels.shape[0])
    return MaskCrop.over_box(pixels, box, size)


def mask_of(label: fo.Detection) -> npt.NDArray[np.bool_] | None:
    """A detection's mask, (h, w) bool, from the database or its file; None where it has none.

    Raises:
        UnreadableMaskError: its file cannot be read.
        ValueError: it has another number of dimensions.
    """
    try:
        mask = label.get_mask()
    except OSError as error:
        raise UnreadableMaskError(f"the mask's file cannot be read: {error}") from error
    if mask is None and label.mask_path:  # how OpenCV tells of a file that is no image
        raise UnreadableMaskError(f"the mask's file cannot be read: {label.mask_path}")
    if mask is None:
        return None
    pixels: npt.NDArray[np.bool_] = np.asarray(mask).astype(bool)
    if pixels.ndim != 2:
        raise ValueError(f"the mask of label {label.id} has shape {pixels.shape}, need (h, w)")
    return pixels


def reaches_over(label: fo.Detection, size: tuple[int, int]) -> bool:
    """Whether a detection's box goes over the edge of its image of (height, width)."""
    x1, y1, x2, y2 = pixel_box(label.bounding_box, size)
    return x1 < 0 or y1 < 0 or x2 > size[1] or y2 > size[0]


def pixel_box(bounding_box: Sequence[float] | None, size: tuple[int, int]) -> IntBox:
    """The whole pixels of a relative [x, y, w, h] on an image of (height, width).

    Raises:
        ValueError: it is not four finite numbers, or lies far outside the image.
    """
    if bounding_box is None or len(bounding_box) != 4:
        raise ValueError(f"bounding_box is [x, y, width, height], got {bounding_box}")
    corners = to_xyxy(bounding_box, size)
    if not all(abs(v) < _FARTHEST * max(size) for v in corners):
        raise ValueError(f"the box {bounding_box} is not finite or lies far outside the image")
    x1, y1, x2, y2 = map(round, corners)
    return x1, y1, x2, y2


def to_xyxy(
    bounding_box: Sequence[float], size: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Relative [x, y, w, h] to (x1, y1, x2, y2) in pixels of an image of (height, width)."""
    height, width = size
    x, y, w, h = bounding_box
    return x * width, y * height, (x + w) * width, (y + h) * height
