"""Labels of a FiftyOne field, read as prompts.

A box prompt is a Detection. A point prompt is a Keypoint: all of its points show one object, and
the list attribute `point_labels`, one number a point, says 1 for a point on the object and 0 for a
point off it (`sam_labels`, FiftyOne's own name for it, is read too; without either, all are 1). A
point with a NaN coordinate is FiftyOne's way to say "not visible" and is left out. A mask prompt is
a Detection with a mask, or a Polyline, taken as filled; a Detection without one asks by its box.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import fiftyone as fo
import numpy as np
import numpy.typing as npt

from ovsam_plugin.prompts import Box, Mask, Points, Prompt

_BY_TYPE = "prompt_field"
KEYS: Mapping[str, tuple[type[fo.Label], ...]] = {
    "box_prompt_field": (fo.Detections, fo.Detection),
    "point_prompt_field": (fo.Keypoints, fo.Keypoint),
    "mask_prompt_field": (fo.Detections, fo.Detection, fo.Polylines, fo.Polyline),
    _BY_TYPE: (fo.Detections, fo.Detection, fo.Keypoints, fo.Keypoint, fo.Polylines, fo.Polyline),
}
"""What each keyword of `apply_model` may name: fields of these label types.

`prompt_field` is that of FiftyOne's own SAM models: boxes of Detections, points of Keypoints, and
here masks of Polylines."""

# Sizes of the image; a mask stretched over a larger box would not fit into memory.
_FARTHEST = 4
_POINT_LABELS = ("point_labels", "sam_labels")
_SHOWN_REASONS = 5


@dataclass(frozen=True)
class Asked:
    """The prompts of one sample.

    Attributes:
        prompts: those that lie on the image, in the order of the labels: boxes, points, masks.
        refused: why each of the others was left out.
    """

    prompts: tuple[Prompt, ...] = ()
    refused: tuple[str, ...] = ()

    @property
    def error(self) -> str | None:
        """The reasons in one line, the first few of them; None when there are none."""
        if not self.refused:
            return None
        total = len(self.prompts) + len(self.refused)
        shown = "; ".join(self.refused[:_SHOWN_REASONS])
        more = "" if len(self.refused) <= _SHOWN_REASONS else "; ..."
        return f"{len(self.refused)} of {total} prompts left out: {shown}{more}"


def read_prompts(
    labels: Mapping[str, fo.Label | None], size: tuple[int, int], *, refine_masks: bool = False
) -> Asked:
    """The prompts that a sample's labels make.

    Args:
        labels: label or None by the keys of `KEYS`.
        size: (height, width) in pixels of the image.
        refine_masks: whether masks are drawn anew or only named.

    Raises:
        TypeError: a label is not of a type that its key allows.
    """
    prompts: list[Prompt] = []
    refused: list[str] = []
    labels = _by_kind(labels)
    makers: dict[str, Callable[[Any], Prompt]] = {
        "box_prompt_field": lambda label: _box(label, size),
        "point_prompt_field": lambda label: _points(label, size),
        "mask_prompt_field": lambda label: _mask(label, size, refine_masks),
    }
    for key, make in makers.items():
        for label in _elements(key, labels.get(key)):
            try:
                prompts.append(make(label).on_image(width=size[1], height=size[0]))
            except (ValueError, TypeError, OSError, ArithmeticError) as error:
                refused.append(f"{label.id}: {error}")
    return Asked(tuple(prompts), tuple(refused))


def _by_kind(labels: Mapping[str, fo.Label | None]) -> dict[str, fo.Label | None]:
    """With the key of its type in place of `prompt_field`."""
    found = {key: label for key, label in labels.items() if key != _BY_TYPE}
    label = labels.get(_BY_TYPE)
    if label is None:
        return found
    kind = next((key for key, types in KEYS.items() if isinstance(label, types)), _BY_TYPE)
    if kind == _BY_TYPE:
        _elements(kind, label)  # tells what is allowed
    if found.get(kind) is not None:
        raise ValueError(f"{_BY_TYPE} and {kind} both ask here: give one of the two")
    return {**found, kind: label}


def paste_mask(
    mask: npt.NDArray[Any], bounding_box: list[float], size: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """A Detection's mask laid on the whole image.

    Args:
        mask: (h, w), true where not zero, stretched over the box as the App draws it.
        bounding_box: relative [x, y, w, h].
        size: (height, width) in pixels of the image.

    Returns:
        (H, W) bool. The exact mask where the box lies on whole pixels.
    """
    height, width = size
    corners = to_xyxy(bounding_box, size)
    if not all(abs(v) < _FARTHEST * max(size) for v in corners):
        raise ValueError(f"the box {bounding_box} is not finite or lies far outside the image")
    x1, y1, x2, y2 = (round(v) for v in corners)
    patch = np.asarray(mask) > 0
    shape = (y2 - y1, x2 - x1)
    canvas = np.zeros(size, dtype=bool)
    if min(shape) < 1 or patch.size == 0:
        return canvas
    if patch.shape != shape:
        resized = cv2.resize(patch.astype(np.uint8), shape[::-1], interpolation=cv2.INTER_NEAREST)
        patch = resized > 0
    top, left = max(y1, 0), max(x1, 0)
    bottom, right = min(y2, height), min(x2, width)
    if bottom > top and right > left:
        canvas[top:bottom, left:right] = patch[top - y1 : bottom - y1, left - x1 : right - x1]
    return canvas


def to_xyxy(bounding_box: list[float], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Relative [x, y, w, h] to (x1, y1, x2, y2) in pixels of an image of (height, width)."""
    height, width = size
    x, y, w, h = bounding_box
    return x * width, y * height, (x + w) * width, (y + h) * height


def _elements(key: str, label: fo.Label | None) -> list[Any]:
    if label is None:
        return []
    allowed = KEYS[key]
    if not isinstance(label, allowed):
        names = ", ".join(t.__name__ for t in allowed)
        raise TypeError(f"`{key}` must name a field of {names}, got {type(label).__name__}")
    if isinstance(label, (fo.Detections, fo.Keypoints, fo.Polylines)):
        return list(getattr(label, type(label)._LABEL_LIST_FIELD) or [])
    return [label]


def _box(label: fo.Detection, size: tuple[int, int]) -> Box:
    if len(label.bounding_box or ()) != 4:
        raise ValueError(f"bounding_box is [x, y, width, height], got {label.bounding_box}")
    return Box(xyxy=to_xyxy(label.bounding_box, size), id=str(label.id))


def _points(label: fo.Keypoint, size: tuple[int, int]) -> Points:
    points = [tuple(point) for point in label.points or []]
    marks = next((label[k] for k in _POINT_LABELS if label.has_attribute(k) and label[k]), None)
    marks = [1] * len(points) if marks is None else list(marks)
    if len(marks) != len(points):
        raise ValueError(f"{len(points)} points with {len(marks)} point_labels: need one a point")
    visible = [i for i, (x, y) in enumerate(points) if not (np.isnan(x) or np.isnan(y))]
    return Points(
        xy=tuple((points[i][0] * size[1], points[i][1] * size[0]) for i in visible),
        labels=tuple(marks[i] for i in visible),
        id=str(label.id),
    )


def _mask(label: fo.Detection | fo.Polyline, size: tuple[int, int], refine: bool) -> Mask | Box:
    if isinstance(label, fo.Polyline):
        canvas = _fill(label, size)
    else:
        mask = label.get_mask()
        if mask is None:
            return _box(label, size)
        canvas = paste_mask(mask, label.bounding_box, size)
    return Mask(mask=canvas, refine=refine, id=str(label.id))


def _fill(label: fo.Polyline, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    height, width = size
    rings = [np.asarray(ring, dtype=np.float64) for ring in label.points or [] if len(ring) >= 3]
    if not all((np.abs(ring) < _FARTHEST).all() for ring in rings):
        raise ValueError("a point of the polyline is not finite or lies far outside the image")
    canvas = np.zeros(size, dtype=np.uint8)
    pixels = [np.floor(ring * (width, height)).astype(np.int32) for ring in rings]
    cv2.fillPoly(canvas, pixels, 1)
    return canvas > 0
