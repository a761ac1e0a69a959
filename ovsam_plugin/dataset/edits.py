"""Whether a label's box and mask are still those that its embedding was made from.

A number that tells them, `outline`, is written together with the label.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import fiftyone as fo
from fiftyone.core.utils import serialize_numpy_array

from ovsam_plugin.dataset.internals import aggregate
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
