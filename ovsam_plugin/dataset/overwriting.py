"""What a person made in a label field, and the consent that replacing it needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import fiftyone as fo
from bson import ObjectId

from ovsam_plugin.consent import OVERWRITE_ALL, ConsentError
from ovsam_plugin.dataset import edits
from ovsam_plugin.dataset.database import in_parts
from ovsam_plugin.dataset.expressions import DECIDED, OURS, Expression, filtered
from ovsam_plugin.dataset.internals import aggregate, dataset_of, sample_documents
from ovsam_plugin.dataset.targets import Samples, flat

Overwrite: TypeAlias = bool | Literal["all"]
"""Whether labels that are there may be replaced: none (False), those that runs of ours made and no
person touched (True), or "all", whoever made them."""


@dataclass(frozen=True)
class MadeByHand:
    """How many labels of a field are a person's work, or another tool's; each is counted once.

    Attributes:
        field: the label field.
        decided: labels that a person decided about.
        foreign: labels that no run of ours made.
        edited: labels of ours whose name, box or mask was changed by hand since.
    """

    field: str
    decided: int = 0
    foreign: int = 0
    edited: int = 0

    def __bool__(self) -> bool:
        return bool(self.decided or self.foreign or self.edited)

    def __str__(self) -> str:
        counted = {
            "that a person decided about": self.decided,
            "that no run made": self.foreign,
            "that were changed by hand": self.edited,
        }
        return ", ".join(f"{count:,} {which}" for which, count in counted.items() if count)


def check_overwrite(overwrite: object) -> None:
    """Whether this is one of the values of `Overwrite`.

    Raises:
        ValueError: it is not.
    """
    if overwrite not in (False, True, "all"):
        raise ValueError(f'overwrite is False, True or "all", got {overwrite!r}')


def check_replaceable(
    samples: Samples, field: str, overwrite: Overwrite, ids: Sequence[str] | None = None
) -> None:
    """Whether the labels that these samples have in a field may be replaced.

    Args:
        samples: the dataset, or the view whose samples are labelled anew.
        field: the label field; it may not be there yet.
        overwrite: what was consented to; nothing is checked when nothing is overwritten.
        ids: of the samples that are labelled anew, where those of the view may be others by now.

    Raises:
        ValueError: `overwrite` is no more than True, and labels are a person's work: their counts,
            and how to consent to it.
    """
    check_overwrite(overwrite)
    if overwrite is True and (found := made_by_hand(samples, field, ids)):
        raise ConsentError(
            f"field {field!r} holds labels that are replaced only on request ({found})",
            "use another field",
            OVERWRITE_ALL,
        )


def made_by_hand(samples: Samples, field: str, ids: Sequence[str] | None = None) -> MadeByHand:
    """Counts what replacing the labels that these samples have in a field would take away.

    Args:
        samples: a dataset or view; of its samples all labels count, also those that it hides.
        field: a field of Detections; all is 0 where there is none.
        ids: of the samples, where those of the view may be others by now.
    """
    dataset = dataset_of(samples)
    if dataset.get_field(field) is None:
        return MadeByHand(field)
    decided = foreign = by_hand = 0
    changed = [ObjectId(i) for i in edited(dataset, field)]
    for owners in _owners(samples, ids):
        decided += _count(dataset, field, owners, DECIDED)
        foreign += _count(dataset, field, owners, {"$not": [{"$or": [DECIDED, OURS]}]})
        for part in in_parts(changed):
            open_ones = {"$and": [{"$in": ["$$d._id", part]}, {"$not": [DECIDED]}, OURS]}
            by_hand += _count(dataset, field, owners, open_ones)
    return MadeByHand(field, decided, foreign, by_hand)


def decided(dataset: fo.Dataset, field: str, ids: Sequence[str]) -> int:
    """How many labels of some samples a person has decided about."""
    return sum(_count(dataset, field, owners, DECIDED) for owners in _owners(dataset, ids))


def edited(samples: Samples, field: str) -> set[str]:
    """Ids of labels whose box, mask or name is no more what a run of ours gave them.

    A name is held against the first of `top_labels`; a decision changes it too.
    """
    labels = f"{field}.detections"
    own = {"$arrayElemAt": [f"${labels}.top_labels", 0]}
    renamed = aggregate(
        flat(samples),
        [
            {"$match": {f"{labels}.top_labels.0": {"$type": "string"}}},
            {"$project": {f"{labels}.{name}": True for name in ("_id", "label", "top_labels")}},
            {"$unwind": f"${labels}"},
            {"$match": {f"{labels}.top_labels.0": {"$type": "string"}}},
            {"$match": {"$expr": {"$ne": [f"${labels}.label", own]}}},
            {"$project": {"label": f"${labels}._id"}},
        ],
    )
    return edits.edited(samples, field) | {str(row["label"]) for row in renamed}


def _owners(samples: Samples, ids: Sequence[str] | None) -> Iterator[dict[str, Any]]:
    """Which samples these are, a part at a time."""
    if ids is None and isinstance(samples, fo.Dataset):
        yield {}
        return
    for part in in_parts(samples.values("_id") if ids is None else map(ObjectId, ids)):
        yield {"_id": {"$in": part}}


def _count(dataset: fo.Dataset, field: str, owners: dict[str, Any], which: Expression) -> int:
    """How many labels of these samples an expression is true of."""
    chosen = filtered(f"${field}.detections", which)
    stages = [
        {"$match": {**owners, f"{field}.detections.0": {"$exists": True}}},
        {"$group": {"_id": None, "count": {"$sum": {"$size": chosen}}}},
    ]
    return sum(int(row["count"]) for row in sample_documents(dataset).aggregate(stages))
