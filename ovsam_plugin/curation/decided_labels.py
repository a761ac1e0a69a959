"""The labels that decisions are about, as the database has them now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, TypeAlias

import fiftyone as fo
from bson import ObjectId

from ovsam_plugin.curation.attributes import DECISION
from ovsam_plugin.dataset import writing
from ovsam_plugin.dataset.database import in_parts
from ovsam_plugin.dataset.expressions import Expression
from ovsam_plugin.dataset.internals import sample_documents

DecidedLabels: TypeAlias = dict[ObjectId, dict[str, Any]]
"""By id: the label's name, what has been decided on it, and the id of its `sample`."""

_SHOWN = 3


def find(dataset: fo.Dataset, label_field: str, ids: list[ObjectId]) -> DecidedLabels:
    """These labels.

    Raises:
        ValueError: some are not there.
    """
    found = now_on(dataset, label_field, ids)
    missing = [i for i in ids if i not in found]
    if missing:
        raise ValueError(
            f"{len(missing)} of {len(ids)} labels are not in field {label_field!r} of dataset "
            f"{dataset.name!r} ({few(missing)}): they belong to another field or dataset, or "
            "were deleted; nothing was decided"
        )
    return found


def now_on(dataset: fo.Dataset, label_field: str, ids: Iterable[ObjectId]) -> DecidedLabels:
    """Those of these labels that are there."""
    found: DecidedLabels = {}
    for part in in_parts(ids):
        found |= _where(dataset, label_field, {"_id": {"$in": part}})
    return found


def last_decided(dataset: fo.Dataset, label_field: str, by: str | None) -> DecidedLabels | None:
    """The labels of the decision that was made last."""
    if (last := _last(dataset, label_field, by)) is None:
        return None
    same = {"reviewed_at": last["reviewed_at"], "reviewed_by": last.get("reviewed_by")}
    return _where(dataset, label_field, same)


def newest(dataset: fo.Dataset, label_field: str, by: str | None = None) -> datetime | None:
    """When the last decision of a field was made, by anybody where nobody is named; None where
    there is none."""
    last = _last(dataset, label_field, by)
    return None if last is None else last["reviewed_at"]


def _last(dataset: fo.Dataset, label_field: str, by: str | None) -> dict[str, Any] | None:
    """A label of the decision that was made last, by anybody where nobody is named."""
    labels = f"{label_field}.detections"
    who = {} if by is None else {"reviewed_by": by}
    stages: list[Expression] = [{"$match": {f"{labels}.reviewed_at": {"$type": "date"}}}]
    if by is None:
        # Descending, an array counts as its largest element: the index gives the one sample.
        stages += [{"$sort": {f"{labels}.reviewed_at": -1}}, {"$limit": 1}]
    stages += _only(labels, {"reviewed_at": {"$type": "date"}, **who})
    stages += [{"$sort": {"reviewed_at": -1, "_id": 1}}, {"$limit": 1}]
    return next(iter(sample_documents(dataset).aggregate(stages)), None)


def _where(dataset: fo.Dataset, label_field: str, condition: Mapping[str, Any]) -> DecidedLabels:
    labels = f"{label_field}.detections"
    stages = [
        {"$match": {f"{labels}.{name}": value for name, value in condition.items()}},
        *_only(labels, condition),
    ]
    return {row["_id"]: row for row in sample_documents(dataset).aggregate(stages)}


def _only(labels: str, condition: Mapping[str, Any]) -> list[Expression]:
    """Stages from samples to those of their labels that meet a condition, without their masks."""
    names = ("_id", "label", *(a.name for a in DECISION))
    return [
        {"$project": {f"{labels}.{name}": True for name in names}},
        {"$unwind": f"${labels}"},
        {"$replaceRoot": {"newRoot": {"$mergeObjects": [f"${labels}", {"sample": "$_id"}]}}},
        {"$match": dict(condition)},
    ]


def write(
    dataset: fo.Dataset,
    label_field: str,
    labels: Mapping[ObjectId, Mapping[str, Any]],
    change: Expression,
    unless: Expression | None = None,
) -> None:
    """Changes labels that were found; see `writing.change_labels`."""
    found = ((label["sample"], label_id) for label_id, label in labels.items())
    writing.change_labels(dataset, label_field, found, change, unless=unless)


def few(ids: Iterable[ObjectId]) -> str:
    """The first of some ids, for a message."""
    shown = [str(label_id) for label_id in ids]
    return ", ".join(shown[:_SHOWN]) + (", ..." if len(shown) > _SHOWN else "")
