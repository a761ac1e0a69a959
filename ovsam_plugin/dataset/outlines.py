"""Whether a label's box and mask are still those that its embedding was made from.

A number that tells them, `outline`, is written together with the label.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import fiftyone as fo

from ovsam_plugin.dataset.internals import aggregate
from ovsam_plugin.dataset.shapes import PARTS, shape_of
from ovsam_plugin.dataset.targets import Samples

ATTRIBUTE = "outline"

# Outlines of this version are whole numbers from here on, which a float holds exactly.
_WHOLE = 2**52
# Those of version 0.4 and earlier: of the box and the size of the stored mask alone.
_WEIGHTS = (0.7548776662, 0.5698402910, 0.8191725134, 0.6710436067)
_SAME = 1e-9


def outline(label: Mapping[str, Any]) -> float:
    """The number that tells a label's box and mask.

    Args:
        label: as for `shapes.shape_of`.
    """
    return float(_WHOLE + shape_of(label))


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
    wanted = {name: f"${labels}.{name}" for name in ("_id", ATTRIBUTE, *PARTS)}
    stages: list[dict[str, Any]] = [
        {"$match": {f"{labels}.{ATTRIBUTE}": {"$type": "number"}}},
        {"$unwind": f"${labels}"},
        {"$match": {f"{labels}.{ATTRIBUTE}": {"$type": "number"}}},
        {"$project": {"label": wanted}},
    ]
    rows = (row["label"] for row in aggregate(samples, stages))
    return {str(label["_id"]) for label in rows if not _is_same(label)}


def _is_same(label: Mapping[str, Any]) -> bool:
    noted = label[ATTRIBUTE]
    if noted >= _WHOLE:
        return bool(noted == outline(label))
    mask, path = label.get("mask"), label.get("mask_path")
    size = len(mask) if isinstance(mask, bytes) else 0
    box = sum(value * weight for value, weight in zip(label.get("bounding_box") or (), _WEIGHTS))
    return bool(abs(box + size + len(path or "") - noted) <= _SAME)
