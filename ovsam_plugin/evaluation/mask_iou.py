"""Exact IoU of instance masks on one image, at the image's own size.

Masks are compared as what they are kept as, crops with a place: only the part that two crops share
is read, so nothing is painted on a whole image and nothing is encoded first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ovsam_plugin.instances import Instances, crop_mask
from ovsam_plugin.rle import encode_crop


class MaskCrop(NamedTuple):
    """A mask cut to a box that holds it.

    Attributes:
        x, y: the box's top-left pixel on the image.
        mask: (h, w) bool, the mask inside the box; (0, 0) for an empty mask.
        area: pixels of the mask.
    """

    x: int
    y: int
    mask: npt.NDArray[np.bool_]
    area: int

    @classmethod
    def at(cls, mask: npt.NDArray[np.bool_], x: int = 0, y: int = 0) -> MaskCrop:
        """A mask whose top-left pixel lies at (x, y), cut to its own box."""
        (left, top, _, _), crop = crop_mask(mask)
        return cls(x + left, y + top, crop, int(np.count_nonzero(crop)))

    @property
    def box(self) -> tuple[int, int, int, int]:
        """xyxy in pixels, x2 and y2 exclusive."""
        return self.x, self.y, self.x + self.mask.shape[1], self.y + self.mask.shape[0]

    def rle(self, image_size: tuple[int, int]) -> dict[str, Any]:
        """As compressed run lengths of an image of (height, width)."""
        return encode_crop(self.mask, (self.x, self.y), image_size)


def crops_of(instances: Instances) -> list[MaskCrop]:
    """The N masks of an image's instances, in their order."""
    return [
        MaskCrop(int(box[0]), int(box[1]), mask, int(np.count_nonzero(mask)))
        for box, mask in zip(instances.boxes, instances.masks)
    ]


def intersection(a: MaskCrop, b: MaskCrop) -> int:
    """Pixels that two masks share."""
    (ah, aw), (bh, bw) = a.mask.shape, b.mask.shape
    x1, y1 = max(a.x, b.x), max(a.y, b.y)
    x2, y2 = min(a.x + aw, b.x + bw), min(a.y + ah, b.y + bh)
    if x2 <= x1 or y2 <= y1:
        return 0
    mine = a.mask[y1 - a.y : y2 - a.y, x1 - a.x : x2 - a.x]
    return int(np.count_nonzero(mine & b.mask[y1 - b.y : y2 - b.y, x1 - b.x : x2 - b.x]))


def mask_iou(detection: MaskCrop, truth: MaskCrop, crowd: bool = False) -> float:
    """Intersection over union, as pycocotools has it.

    Args:
        detection: what was answered.
        truth: what is there, on the same image.
        crowd: the truth is a crowd: intersection over the detection's own area instead.

    Returns:
        0..1; 0 where nothing is shared, also of two empty masks.
    """
    shared = intersection(detection, truth)
    if not shared:
        return 0.0
    return shared / (detection.area if crowd else detection.area + truth.area - shared)


def iou_matrix(
    detections: Sequence[MaskCrop],
    truths: Sequence[MaskCrop],
    crowd: Sequence[bool] | npt.NDArray[np.bool_] | None = None,
    *,
    min_iou: float = 0.0,
) -> npt.NDArray[np.float64]:
    """`mask_iou` of every detection with every truth.

    Args:
        detections: D masks.
        truths: G masks.
        crowd: G flags; none is a crowd when not given.
        min_iou: what nobody asks for: pairs that boxes and areas alone prove to be below are not
            compared, and left at 0.

    Returns:
        (D, G) float64.

    Raises:
        ValueError: there is not one flag a truth.
    """
    flags = np.zeros(len(truths), dtype=bool) if crowd is None else np.asarray(crowd, dtype=bool)
    if flags.shape != (len(truths),):
        raise ValueError(f"{len(truths)} truths with crowd flags of shape {flags.shape}")
    ious = np.zeros((len(detections), len(truths)))
    if not ious.size:
        return ious
    a = np.array([(*crop.box, crop.area) for crop in detections])[:, None]
    b = np.array([(*crop.box, crop.area) for crop in truths])[None]
    sides = np.minimum(a[..., 2:4], b[..., 2:4]) - np.maximum(a[..., :2], b[..., :2])
    most = np.minimum(sides.clip(min=0).prod(-1), np.minimum(a[..., 4], b[..., 4]))
    least = np.where(flags, a[..., 4], np.maximum(a[..., 4], b[..., 4]))
    for d, g in np.argwhere((most > 0) & (most >= min_iou * least)).tolist():
        ious[d, g] = mask_iou(detections[d], truths[g], bool(flags[g]))
    return ious
