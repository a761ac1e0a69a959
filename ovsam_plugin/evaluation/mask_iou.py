"""Exact IoU of instance masks on one image, at the image's own size.

Masks are compared as what they are kept as, crops with a place: only the part that two crops share
is read, so nothing is painted on a whole image and nothing is encoded first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ovsam_plugin.images.mask_crop import MaskCrop
from ovsam_plugin.prediction.instances import Instances


def crops_of(instances: Instances) -> list[MaskCrop]:
    """The N masks of an image's instances, in their order."""
    return [instances.crop(i) for i in range(len(instances))]


def intersection(a: MaskCrop, b: MaskCrop) -> int:
    """Pixels that two masks share."""
    return _intersection(a, a.mask, b, b.mask)


def _intersection(
    a: MaskCrop, pixels: npt.NDArray[np.bool_], b: MaskCrop, others: npt.NDArray[np.bool_]
) -> int:
    x1, y1 = max(a.x, b.x), max(a.y, b.y)
    x2, y2 = min(a.box[2], b.box[2]), min(a.box[3], b.box[3])
    if x2 <= x1 or y2 <= y1:
        return 0
    mine = pixels[y1 - a.y : y2 - a.y, x1 - a.x : x2 - a.x]
    return int(np.count_nonzero(mine & others[y1 - b.y : y2 - b.y, x1 - b.x : x2 - b.x]))


def mask_iou(detection: MaskCrop, truth: MaskCrop, crowd: bool = False) -> float:
    """Intersection over union, as pycocotools has it.

    Args:
        detection: what was answered.
        truth: what is there, on the same image.
        crowd: the truth is a crowd: intersection over the detection's own area instead.

    Returns:
        0..1; 0 where nothing is shared, also of two empty masks.
    """
    return _iou(intersection(detection, truth), detection, truth, crowd)


def _iou(shared: int, detection: MaskCrop, truth: MaskCrop, crowd: bool) -> float:
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
    near = (most > 0) & (most >= min_iou * least)
    there = {g: truths[g].mask for g in np.flatnonzero(near.any(0)).tolist()}
    for d in np.flatnonzero(near.any(1)).tolist():
        detection, pixels = detections[d], detections[d].mask
        for g in np.flatnonzero(near[d]).tolist():
            shared = _intersection(detection, pixels, truths[g], there[g])
            ious[d, g] = _iou(shared, detection, truths[g], bool(flags[g]))
    return ious
