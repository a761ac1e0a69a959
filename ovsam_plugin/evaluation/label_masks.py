"""FiftyOne's instance masks, at the exact pixels that they were cut from."""

from __future__ import annotations

import cv2
import fiftyone as fo
import numpy as np

from ovsam_plugin.dataset.prompt_fields import to_xyxy
from ovsam_plugin.evaluation.mask_iou import MaskCrop

_ROUNDING = 1
"""Pixels by which other tools' crops and boxes may differ."""


def crop_of(
    label: fo.Detection, size: tuple[int, int], *, resize_masks: bool = False
) -> MaskCrop | None:
    """A detection's mask on its image.

    FiftyOne stores a mask without its place: it belongs to the pixels of its box, rounded.

    Args:
        label: with a relative box; its mask in the database or a file.
        size: (height, width) of the image in pixels.
        resize_masks: stretch a mask of another size over its box, as the App draws it.

    Returns:
        None where the label has no mask.

    Raises:
        ValueError: the mask and its box differ in size by more than a pixel, or a mask's file
            cannot be read.
    """
    mask = label.get_mask()
    if mask is None:
        return None
    pixels = np.asarray(mask).astype(bool)
    x1, y1, x2, y2 = (round(v) for v in to_xyxy(label.bounding_box, size))
    height, width = max(y2 - y1, 0), max(x2 - x1, 0)
    off = max(abs(pixels.shape[0] - height), abs(pixels.shape[1] - width))
    if off > _ROUNDING and not resize_masks:
        raise ValueError(
            f"the mask of label {label.id} is {pixels.shape[1]} x {pixels.shape[0]} and its box "
            f"{width} x {height} pixels of the {size[1]} x {size[0]} image: exact IoU needs masks "
            "of the image's own size; resize_masks=True stretches them over their boxes"
        )
    if off > _ROUNDING:
        if not (height and width and pixels.size):
            return MaskCrop(0, 0, np.zeros((0, 0), dtype=bool), 0)
        stretched = cv2.resize(
            pixels.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST
        )
        pixels = np.greater(stretched, 0)
    top, left = max(-y1, 0), max(-x1, 0)
    inside = pixels[top : max(size[0] - y1, 0), left : max(size[1] - x1, 0)]
    return MaskCrop.at(inside, x1 + left, y1 + top)
