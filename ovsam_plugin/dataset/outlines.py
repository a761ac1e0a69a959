"""Whether a label's box and mask are still those that its embedding was made from.

A checksum of both stands on each label whose embedding is kept. The database computes it, from what
it stores, when the embedding is filed and again when it is read: no mask leaves it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import fiftyone as fo
from bson import ObjectId
from pymongo import UpdateOne

from ovsam_plugin.dataset.targets import Samples

_Expression: TypeAlias = dict[str, Any]

ATTRIBUTE = "outline"

# Any numbers of which no small multiples make each other.
_WEIGHTS = (0.7548776662, 0.5698402910, 0.8191725134, 0.6710436067)
_SAME = 1e-9


def mark(dataset: fo.Dataset, field: str, labels: Iterable[tuple[str, str]]) -> None:
    """Notes the outlines of labels whose embeddings are filed now.

    Args:
        dataset: the labels' dataset.
        field: a field of Detections.
        labels: (sample id, label id) of each.
    """
    by_sample: dict[str, list[ObjectId]] = {}
    for sample_id, label_id in labels:
        by_sample.setdefault(sample_id, []).append(ObjectId(label_id))
    path = f"{field}.detections"
    marked = {"$mergeObjects": ["$$d", {ATTRIBUTE: _checksum("$$d")}]}
    updates = []
    for sample_id, ids in by_sample.items():
        chosen = {"$cond": [{"$in": ["$$d._id", ids]}, marked, "$$d"]}
        every = {"$map": {"input": f"${path}", "as": "d", "in": chosen}}
        updates.append(UpdateOne({"_id": ObjectId(sample_id)}, [{"$set": {path: every}}]))
    if updates:
        dataset._bulk_write(updates, ids=list(by_sample))


def edited(samples: Samples, field: str) -> set[str]:
    """Ids of the labels whose box or mask has been changed since.

    Args:
        samples: a dataset or view.
        field: a field of Detections.
    """
    labels = f"{field}.detections"
    now = {"$subtract": [_checksum(f"${labels}"), f"${labels}.{ATTRIBUTE}"]}
    stages: list[_Expression] = [
        {"$match": {f"{labels}.{ATTRIBUTE}": {"$type": "number"}}},
        {"$unwind": f"${labels}"},
        {"$match": {f"{labels}.{ATTRIBUTE}": {"$type": "number"}}},
        {"$project": {"label": f"${labels}._id", "off": {"$abs": now}}},
        {"$match": {"off": {"$gt": _SAME}}},
    ]
    return {str(row["label"]) for row in samples._aggregate(stages)}


def _checksum(label: str) -> _Expression:
    """One number from the box, the stored mask's size and the length of its file's name."""
    box = [
        {"$multiply": [{"$ifNull": [{"$arrayElemAt": [f"{label}.bounding_box", i]}, 0]}, weight]}
        for i, weight in enumerate(_WEIGHTS)
    ]
    stored = {"$eq": [{"$type": f"{label}.mask"}, "binData"]}
    size = {"$cond": [stored, {"$binarySize": f"{label}.mask"}, 0]}
    name = {"$strLenCP": {"$ifNull": [f"{label}.mask_path", ""]}}
    return {"$add": [*box, size, name]}
