"""Whether a label's box and mask are still those that its embedding was made from.

A number that tells them, `outline`, is written together with the label.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any

import fiftyone as fo
from fiftyone.core.utils import serialize_numpy_array

from ovsam_plugin.dataset.internals import aggregate
from ovsam_plugin.dataset.label_masks import mask_of, pixel_box
from ovsam_plugin.dataset.shapes import PARTS, shape_of
from ovsam_plugin.dataset.targets import Samples, flat

ATTRIBUTE = "outline"

# Outlines are whole numbers from here on, which a float holds exactly; below zero two numbers of so
# many bits, above it, as in earlier versions, one that tells what is shown.
_WHOLE = 2**52
_HALF = 26
# Those of version 0.4 and earlier: of the box and the size of the stored mask alone.
_WEIGHTS = (0.7548776662, 0.5698402910, 0.8191725134, 0.6710436067)
_SAME = 1e-9
# Pixels that rounding may cost a side of a box, on a photograph that was made smaller.
_ROUNDING = 2


def outline(label: Mapping[str, Any]) -> float:
    """The number that tells a label's box and mask.

    Half of it is how they are stored, which is quickly compared, half of it what they show.

    Args:
        label: as for `shapes.shape_of`.
    """
    return -float(_WHOLE + (_stored(label) << _HALF) + (shape_of(label) >> _HALF))


def mark(labels: fo.Detections) -> None:
    """Notes the outlines of labels that are about to be written, with their embeddings."""
    for label in labels.detections:
        label[ATTRIBUTE] = outline({"bounding_box": label.bounding_box, "mask": label.mask})


def edited(samples: Samples, field: str) -> set[str]:
    """Ids of the labels whose box or mask has been changed since.

    Args:
        samples: a dataset or view.
        field: a field of Detections.
    """
    labels = f"{field}.detections"
    wanted = {f"{labels}.{name}": True for name in ("_id", ATTRIBUTE, *PARTS)}
    stages: list[dict[str, Any]] = [
        {"$match": {f"{labels}.{ATTRIBUTE}": {"$type": "number"}}},
        {"$project": wanted},
    ]
    return {
        str(label["_id"])
        for sample in aggregate(flat(samples), stages)
        for label in sample[field]["detections"]
        if isinstance(label.get(ATTRIBUTE), int | float) and not _is_same(label)
    }


def check_photograph(labels: Iterable[fo.Detection], size: tuple[int, int]) -> None:
    """Whether labels can have been made on a photograph of these proportions.

    One that was only made larger or smaller since is the same; so are labels that no run of ours
    made, and those whose box or mask somebody has changed.

    Args:
        labels: of the photograph.
        size: its (height, width) now.

    Raises:
        ValueError: a mask has other proportions than its box: it was made on something else.
    """
    for label in labels:
        noted = label.get_attribute_value(ATTRIBUTE, None)
        if not isinstance(noted, int | float) or _is_proportional(label, size):
            continue
        stored = {name: label.get_attribute_value(name, None) for name in PARTS}
        if _is_same({**stored, ATTRIBUTE: noted}):
            raise ValueError(
                f"the photograph, now {size[1]} x {size[0]}, is not the one that was labelled: put "
                "that back, or label this one with overwrite"
            )


def _is_proportional(label: fo.Detection, size: tuple[int, int]) -> bool:
    """Whether a label's mask was stretched alike along both sides, but for rounding."""
    try:
        pixels, (x1, y1, x2, y2) = mask_of(label), pixel_box(label.bounding_box, size)
    except ValueError:  # it lies nowhere, which whoever places it tells
        return True
    if pixels is None or not pixels.size:
        return True
    (height, width), (across, along) = (y2 - y1, x2 - x1), pixels.shape
    off = abs(width * across - height * along)
    return bool(off <= _ROUNDING * (across + along))


def _stored(label: Mapping[str, Any]) -> int:
    """A hash of a label's box and mask as the database has them, of _HALF bits."""
    digest = blake2b(repr(label.get("bounding_box")).encode(), digest_size=8)
    mask = label.get("mask")
    if mask is not None:
        digest.update(mask if isinstance(mask, bytes) else serialize_numpy_array(mask))
    return int.from_bytes(digest.digest(), "big") >> (64 - _HALF)


def _is_same(label: Mapping[str, Any]) -> bool:
    noted = label[ATTRIBUTE]
    if noted <= -_WHOLE:
        stored, shown = divmod(int(-noted) - _WHOLE, 1 << _HALF)
        if stored == _stored(label) and not label.get("mask_path"):
            return True
        return shown == shape_of(label) >> _HALF
    if noted >= _WHOLE:
        return bool(noted == _WHOLE + shape_of(label))
    mask, path = label.get("mask"), label.get("mask_path")
    size = len(mask) if isinstance(mask, bytes) else 0
    box = sum(value * weight for value, weight in zip(label.get("bounding_box") or (), _WEIGHTS))
    return bool(abs(box + size + len(path or "") - noted) <= _SAME)
