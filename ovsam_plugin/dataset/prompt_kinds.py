"""The kinds of prompt that labels of a FiftyOne field may ask with: a row for each.

A box prompt is a Detection. A point prompt is a Keypoint: all of its points show one object, and
the list attribute `point_labels`, one number a point, says 1 for a point on the object and 0 for a
point off it (`sam_labels`, FiftyOne's own name for it, is read too; without either, all are 1). A
point with a NaN coordinate is FiftyOne's way to say "not visible" and is left out. A mask prompt is
a Detection with a mask, or a Polyline, taken as filled; a Detection without one asks by its box.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import fiftyone as fo
import numpy as np

from ovsam_plugin.dataset.label_masks import crop_of, to_xyxy
from ovsam_plugin.images.mask_crop import MaskCrop
from ovsam_plugin.prediction.prompts import Box, Mask, Points, Prompt, Size

BY_TYPE = "prompt_field"
"""The keyword of FiftyOne's own SAM models: the kind is told by the labels' type, boxes of
Detections, points of Keypoints, and here masks of Polylines."""

# Sizes of the image that a point of a polyline may lie from its corner.
_FARTHEST = 4
_POINT_LABELS = ("point_labels", "sam_labels")
_DRAW = "draw some in the Annotate tab of a photograph, or import them"


@dataclass(frozen=True, kw_only=True)
class PromptKind:
    """One kind of prompt, as labels ask with it. What the network reads is of the prompt's class.

    Attributes:
        name: the class's `kind`; `<name>_field` is its keyword of `label_dataset`.
        labels: the types of labels that ask so, each with the type of a list of them.
        read: from such a label, the (height, width) of its image and `refine_masks`, the prompt;
            raises ValueError where the label shows none.
        protocol: which protocol of an evaluation goes with ground truth that asked so.
        title, description: in the form of what to label.
        lacking: what the form says where no field holds such labels.
        refinable: whether `refine_masks` is a question.
    """

    name: str
    labels: tuple[type[fo.Label], ...]
    read: Callable[[Any, Size, bool], Prompt]
    protocol: Literal["box", "center-point"]
    title: str
    description: str
    lacking: str
    refinable: bool = False

    @property
    def key(self) -> str:
        """Its keyword of `apply_model`, under which runs keep the field."""
        return f"{self.name}_{BY_TYPE}"

    @property
    def keyword(self) -> str:
        """Its keyword of `label_dataset`."""
        return f"{self.name}_field"


def _box(label: fo.Detection, size: Size, refine: bool = False) -> Box:
    if len(label.bounding_box or ()) != 4:
        raise ValueError(f"bounding_box is [x, y, width, height], got {label.bounding_box}")
    return Box(xyxy=to_xyxy(label.bounding_box, size), id=str(label.id))


def _points(label: fo.Keypoint, size: Size, refine: bool = False) -> Points:
    points = [_point(point) for point in label.points or []]
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


def _point(point: Any) -> tuple[float, float]:
    try:
        x, y = point
        return float(x), float(y)
    except (TypeError, ValueError):
        raise ValueError(f"a point is [x, y], two numbers, got {point!r:.80}") from None


def _mask(label: fo.Detection | fo.Polyline, size: Size, refine: bool) -> Mask | Box:
    crop = _fill(label, size) if isinstance(label, fo.Polyline) else crop_of(label, size)
    if crop is None:
        return _box(label, size)
    return Mask(crop, refine=refine, id=str(label.id), size=size)


def _fill(label: fo.Polyline, size: Size) -> MaskCrop:
    height, width = size
    rings = [np.asarray(ring, dtype=np.float64) for ring in label.points or [] if len(ring) >= 3]
    if not all((np.abs(ring) < _FARTHEST).all() for ring in rings):
        raise ValueError("a point of the polyline is not finite or lies far outside the image")
    pixels = [np.floor(ring * (width, height)).astype(np.int32) for ring in rings]
    return MaskCrop.of_polygons(pixels, size)


_ROWS = (
    PromptKind(
        name=Box.kind,
        labels=(fo.Detections, fo.Detection),
        read=_box,
        protocol="box",
        title="What is in boxes",
        description="one thing for each box of a field",
        lacking=f"no field holds boxes: {_DRAW}",
    ),
    PromptKind(
        name=Points.kind,
        labels=(fo.Keypoints, fo.Keypoint),
        read=_points,
        protocol="center-point",
        title="What points show",
        description="one thing for each keypoint of a field",
        lacking="no field holds points: draw keypoints in the Annotate tab of a photograph, or "
        "choose something else to label",
    ),
    PromptKind(
        name=Mask.kind,
        labels=(fo.Detections, fo.Detection, fo.Polylines, fo.Polyline),
        read=_mask,
        protocol="box",
        title="What masks show",
        description="each mask of a field gets a name, and can be redrawn",
        lacking=f"no field holds masks: {_DRAW}",
        refinable=True,
    ),
)
PROMPT_KINDS: dict[str, PromptKind] = {row.name: row for row in _ROWS}
"""By their names, in the order in which a sample's prompts are asked."""


def kind_of(key: str) -> PromptKind:
    """The kind of a keyword of `apply_model`, other than `BY_TYPE`."""
    return PROMPT_KINDS[key.removesuffix(f"_{BY_TYPE}")]


def label_types(key: str) -> tuple[type[fo.Label], ...]:
    """The types of labels that a keyword of `apply_model` may name a field of."""
    if key != BY_TYPE:
        return kind_of(key).labels
    return tuple(dict.fromkeys(one for kind in PROMPT_KINDS.values() for one in kind.labels))


def check_prompt_keys(prompt_fields: Mapping[str, Any]) -> None:
    """Whether these keywords of `apply_model` are ours.

    Raises:
        ValueError: one is not.
        TypeError: one does not name a field.
    """
    known = [*(kind.key for kind in PROMPT_KINDS.values()), BY_TYPE]
    for key, field in prompt_fields.items():
        if key not in known:
            raise ValueError(f"unknown argument {key!r}: allowed are {', '.join(known)}")
        if not isinstance(field, str):
            raise TypeError(f"{key} must be the name of a field, got {field!r}")


def prompt_fields_of(**fields: str | None) -> dict[str, str]:
    """Names of fields by the keywords of `apply_model`, from those of `label_dataset`."""
    given = {kind.key: fields.get(kind.keyword) for kind in PROMPT_KINDS.values()}
    return {key: name for key, name in given.items() if name is not None}
