"""Labels of a FiftyOne field, read as prompts.

A box prompt is a Detection. A point prompt is a Keypoint: all of its points show one object, and
the list attribute `point_labels`, one number a point, says 1 for a point on the object and 0 for a
point off it (`sam_labels`, FiftyOne's own name for it, is read too; without either, all are 1). A
point with a NaN coordinate is FiftyOne's way to say "not visible" and is left out. A mask prompt is
a Detection with a mask, or a Polyline, taken as filled; a Detection without one asks by its box.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import fiftyone as fo
import numpy as np

from ovsam_plugin.dataset.internals import list_in
from ovsam_plugin.dataset.label_masks import crop_of, to_xyxy
from ovsam_plugin.images.mask_crop import MaskCrop
from ovsam_plugin.prediction.prompts import Box, Mask, Points, Prompt

_BY_TYPE = "prompt_field"

# Sizes of the image that a point of a polyline may lie from its corner.
_FARTHEST = 4
_POINT_LABELS = ("point_labels", "sam_labels")
_SHOWN_REASONS = 5


class Refusal(NamedTuple):
    """Why a prompt has no answer.

    Attributes:
        label_id: of the label that asked.
        reason: in words.
    """

    label_id: str
    reason: str

    def __str__(self) -> str:
        return f"{self.label_id}: {self.reason}"

    @classmethod
    def read(cls, written: str) -> Refusal:
        """As the database keeps it, in words."""
        label_id, _, reason = written.partition(": ")
        return cls(label_id, reason)


@dataclass(frozen=True)
class Asked:
    """The prompts of one sample.

    Attributes:
        prompts: those that lie on the image, in the order of the labels: boxes, points, masks.
        refused: why each of the others was left out.
    """

    prompts: tuple[Prompt, ...] = ()
    refused: tuple[Refusal, ...] = ()

    @property
    def error(self) -> str | None:
        """The reasons in one line, as `left_out` tells them."""
        return left_out(self.refused, self.total)

    @property
    def total(self) -> int:
        """All prompts of the sample."""
        return len(self.prompts) + len(self.refused)


def left_out(refused: Sequence[Refusal], total: int) -> str | None:
    """Why some of a sample's prompts have no answer, in one line; None where each has.

    Args:
        refused: a reason each, of which the first few are shown.
        total: all prompts of the sample.
    """
    if not refused:
        return None
    shown = "; ".join(map(str, refused[:_SHOWN_REASONS]))
    more = "" if len(refused) <= _SHOWN_REASONS else "; ..."
    return f"{len(refused)} of {total} prompts left out: {shown}{more}"


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
    refused: list[Refusal] = []
    labels = _by_kind(labels)
    for key, (_, read) in _READERS.items():
        for label in _elements(key, labels.get(key)):
            try:
                prompt = read(label, size, refine_masks)
                prompts.append(prompt.on_image(width=size[1], height=size[0]))
            except (ValueError, TypeError, OSError, ArithmeticError) as error:
                refused.append(Refusal(str(label.id), str(error)))
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


def _elements(key: str, label: fo.Label | None) -> list[Any]:
    if label is None:
        return []
    allowed = KEYS[key]
    if not isinstance(label, allowed):
        names = ", ".join(t.__name__ for t in allowed)
        raise TypeError(f"`{key}` must name a field of {names}, got {type(label).__name__}")
    inner = list_in(label)
    return [label] if inner is None else list(label[inner] or [])


def _box(label: fo.Detection, size: tuple[int, int], refine: bool = False) -> Box:
    if len(label.bounding_box or ()) != 4:
        raise ValueError(f"bounding_box is [x, y, width, height], got {label.bounding_box}")
    return Box(xyxy=to_xyxy(label.bounding_box, size), id=str(label.id))


def _points(label: fo.Keypoint, size: tuple[int, int], refine: bool = False) -> Points:
    points = [tuple(point) for point in label.points or []]
    marks = next((label[k] for k in _POINT_LABELS if label.has_attribute(k) and label[k]), None)
    marks = [1] * len(points) if marks is None else list(marks)
    if len(marks) != len(points):
        raise ValueError(f"{len(points)} points with {len(marks)} point_labels: need one per point")
    visible = [i for i, (x, y) in enumerate(points) if not (np.isnan(x) or np.isnan(y))]
    return Points(
        xy=tuple((points[i][0] * size[1], points[i][1] * size[0]) for i in visible),
        labels=tuple(marks[i] for i in visible),
        id=str(label.id),
    )


def _mask(label: fo.Detection | fo.Polyline, size: tuple[int, int], refine: bool) -> Mask | Box:
    crop = _fill(label, size) if isinstance(label, fo.Polyline) else crop_of(label, size)
    if crop is None:
        return _box(label, size)
    return Mask(crop, refine=refine, id=str(label.id), size=size)


def _fill(label: fo.Polyline, size: tuple[int, int]) -> MaskCrop:
    height, width = size
    rings = [np.asarray(ring, dtype=np.float64) for ring in label.points or [] if len(ring) >= 3]
    if not all((np.abs(ring) < _FARTHEST).all() for ring in rings):
        raise ValueError("a point of the polyline is not finite or lies far outside the image")
    pixels = [np.floor(ring * (width, height)).astype(np.int32) for ring in rings]
    return MaskCrop.of_polygons(pixels, size)


# What a kind of prompt is asked with: fields of these label types, read by this function.
_Reader = Callable[[Any, tuple[int, int], bool], Prompt]
_READERS: Mapping[str, tuple[tuple[type[fo.Label], ...], _Reader]] = {
    "box_prompt_field": ((fo.Detections, fo.Detection), _box),
    "point_prompt_field": ((fo.Keypoints, fo.Keypoint), _points),
    "mask_prompt_field": ((fo.Detections, fo.Detection, fo.Polylines, fo.Polyline), _mask),
}
KEYS: Mapping[str, tuple[type[fo.Label], ...]] = {
    **{key: types for key, (types, _) in _READERS.items()},
    _BY_TYPE: tuple(dict.fromkeys(kind for types, _ in _READERS.values() for kind in types)),
}
"""What each keyword of `apply_model` may name: fields of these label types.

`prompt_field` is that of FiftyOne's own SAM models: boxes of Detections, points of Keypoints, and
here masks of Polylines."""
