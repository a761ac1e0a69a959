"""Which instance to look at next: the undecided ones of a field, most doubtful first.

The database orders them and hands over one page; masks and the other attributes stay where they
are until an instance is shown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import fiftyone as fo
from bson import ObjectId
from fiftyone import ViewField as F

from ovsam_plugin.curation.attributes import own_detections
from ovsam_plugin.curation.decision import KINDS
from ovsam_plugin.dataset.internals import aggregate, sample_documents
from ovsam_plugin.dataset.targets import Samples, all_images, near, root_dataset
from ovsam_plugin.ranges import check_count
from ovsam_plugin.scoring.orders import ORDERS, Order

_Expression: TypeAlias = dict[str, Any]

_NO_NUMBERS = [math.nan, math.inf, -math.inf]

PAGE = 100
"""Instances that a page has unless told otherwise."""


@dataclass(frozen=True)
class Filters:
    """Which undecided instances are asked for.

    Attributes:
        classes: names; all when empty.
        confidence: least and largest, both included; instances without one are left out then.

    Raises:
        ValueError: the range is not one within 0..1.
    """

    classes: tuple[str, ...] = ()
    confidence: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        given: object = self.classes
        if isinstance(given, str):
            raise TypeError(f"classes is a list of names, got the string {given!r}")
        object.__setattr__(self, "classes", tuple(self.classes))
        if self.confidence is not None:
            low, high = self.confidence
            if not 0 <= low <= high <= 1:
                raise ValueError(
                    f"confidence is {self.confidence}, must be (least, largest) within 0 to 1"
                )


@dataclass(frozen=True)
class Entry:
    """One undecided instance in the queue.

    Attributes:
        sample_id, label_id: where it is.
        label: its name.
        confidence: 0..1, or None.
        value: 0..1, what it was sorted by; None where that is not known, which comes last.
        doubt: 0..1, how likely the label is wrong; None where that is not known.
    """

    sample_id: str
    label_id: str
    label: str
    confidence: float | None
    value: float | None
    doubt: float | None = None


@dataclass(frozen=True)
class QueuedInstance:
    """An instance to be shown: its entry's label with everything on it, and its image."""

    sample_id: str
    filepath: str
    label: fo.Detection


def orders(samples: Samples, field: str) -> list[str]:
    """The keys of `scoring.orders.ORDERS` that this field can be sorted by, the suggested first.

    An order is offered where at least one instance has the attribute that holds it: confidence,
    margin and stability always are there, the others once `score_run` has filled them.

    Raises:
        ValueError: there is no such field, or it holds something else.
    """
    samples = own_detections(samples, field)
    return [
        name
        for name, order in ORDERS.items()
        if _is_filled(samples, f"{field}.detections.{order.attribute}")
    ]


def queue(
    samples: Samples,
    field: str,
    order: str = "confidence",
    *,
    filters: Filters | None = None,
    limit: int = PAGE,
) -> list[Entry]:
    """The first of the undecided instances, in order.

    Equal values are in the order of the labels' ids. Instances whose mask is empty have no name
    and are never in it.

    Args:
        samples: the dataset, or a view of it.
        field: a field of Detections.
        order: a key of `scoring.orders.ORDERS`.
        filters: some classes, a range of confidence.
        limit: how many.

    Raises:
        ValueError: there is no such field or order, the order needs an attribute that no
            instance has, or `limit` is out of range.
    """
    samples = own_detections(samples, field)
    offered = orders(samples, field)
    if order not in ORDERS:
        raise ValueError(f"there is no order {order!r}{near(order, list(ORDERS))}")
    if order not in offered:
        raise ValueError(
            f"order {order!r} needs {ORDERS[order].attribute!r}, which no label of {field!r} has: "
            "fill it with "
            f"score_run, or choose {', '.join(map(repr, offered)) or 'another field'}"
        )
    check_count("limit", limit)
    chosen = ORDERS[order]
    rows = aggregate(
        samples,
        [
            *undecided(field, filters or Filters(), (chosen.attribute, "doubt")),
            {"$set": {"value": _value(chosen)}},
            {"$sort": {"value": -1, "_id": 1}},
            {"$limit": limit},
        ],
    )
    return [_entry(row) for row in rows]


def find_entries(
    samples: Samples, field: str, order: str, label_ids: Sequence[str]
) -> tuple[Entry, ...]:
    """The entries of these labels where they are undecided, in the order given."""
    ids = [ObjectId(label_id) for label_id in label_ids]
    chosen = ORDERS[order]
    rows = sample_documents(root_dataset(samples)).aggregate(
        [
            {"$match": {f"{field}.detections._id": {"$in": ids}}},
            *undecided(field, Filters(), (chosen.attribute, "doubt")),
            {"$match": {"_id": {"$in": ids}}},
            {"$set": {"value": _value(chosen)}},
        ]
    )
    found = {row["_id"]: _entry(row) for row in rows}
    return tuple(found[i] for i in ids if i in found)


def undecided(field: str, filters: Filters, needs: Sequence[str] = ()) -> list[_Expression]:
    """Stages from samples to `{_id, sample, label, confidence, ...}` of undecided instances."""
    labels = f"{field}.detections"
    names = dict.fromkeys(("_id", "label", "confidence", "review", *needs))
    wanted: _Expression = {"label": {"$ne": None}, "review": {"$nin": list(KINDS)}}
    if filters.classes:
        wanted["label"] = {"$in": list(filters.classes)}
    if filters.confidence is not None:
        low, high = filters.confidence
        wanted["confidence"] = {"$gte": low, "$lte": high}
    return [
        {"$project": {f"{labels}.{name}": True for name in names}},
        {"$unwind": f"${labels}"},
        {"$replaceRoot": {"newRoot": {"$mergeObjects": [f"${labels}", {"sample": "$_id"}]}}},
        {"$set": {name: _number(name) for name in dict.fromkeys(("confidence", *needs))}},
        {"$match": wanted},
    ]


def _number(name: str) -> _Expression:
    """A stored number; null where there is none, as where it is not a finite one."""
    return {"$cond": [{"$in": [f"${name}", _NO_NUMBERS]}, None, f"${name}"]}


def load_instance(
    samples: Samples, field: str, sample_id: str, label_id: str
) -> QueuedInstance | None:
    """One instance with its mask, or None when its sample or label was deleted meanwhile."""
    if not (ObjectId.is_valid(sample_id) and ObjectId.is_valid(label_id)):
        return None
    photographs = all_images(root_dataset(samples))
    # Of a sample's many labels, each with its mask, the database hands over the one.
    wanted = F("_id") == ObjectId(label_id)
    found = photographs.select(sample_id).select_fields(field).filter_labels(field, wanted)
    for sample in found:
        (label,) = sample[field].detections
        return QueuedInstance(sample_id=sample.id, filepath=sample.filepath, label=label)
    return None


def _entry(row: Mapping[str, Any]) -> Entry:
    return Entry(
        sample_id=str(row["sample"]),
        label_id=str(row["_id"]),
        label=row["label"],
        confidence=row.get("confidence"),
        value=row.get("value"),
        doubt=row.get("doubt"),
    )


def _value(order: Order) -> _Expression | str:
    """What `order.score` gives, from the stored attribute; null where that is."""
    stored = f"${order.attribute}"
    return stored if order.highest_first else {"$subtract": [1, stored]}


def _is_filled(samples: Samples, path: str) -> bool:
    """Whether a label has this attribute: stops at the first that does."""
    if samples.get_field(path) is None:
        return False
    # Of numbers alone, and NaN is none of them.
    found = aggregate(samples, [{"$match": {path: {"$gt": -math.inf}}}, {"$limit": 1}])
    return next(iter(found), None) is not None
