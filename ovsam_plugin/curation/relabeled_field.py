"""The field that a relabelling fills: whether it may, and what stays of what it holds already."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from dataclasses import field as item
from typing import Any

import fiftyone as fo
import numpy as np
from bson import ObjectId

from ovsam_plugin.consent import OVERWRITE, OVERWRITE_ALL, ConsentError
from ovsam_plugin.curation.label_table import LabelTable
from ovsam_plugin.dataset import runs
from ovsam_plugin.dataset.expressions import list_at
from ovsam_plugin.dataset.fields import FIELD_DESCRIPTION, check_field
from ovsam_plugin.dataset.internals import declare_like, sample_documents
from ovsam_plugin.dataset.overwriting import Overwrite, check_overwrite, edited, made_by_hand
from ovsam_plugin.dataset.targets import Samples, root_dataset

_ROOM = 16 * 1024 * 1024
_BYTES_A_NAME = 700
_SHOWN = 3


@dataclass(frozen=True, eq=False)
class Earlier:
    """What a field holds before it is made again.

    Attributes:
        samples: those with labels.
        decided: labels that a person has decided about; they stay.
        edited: by sample, labels that a person has changed otherwise; they stay too.
    """

    samples: frozenset[ObjectId] = frozenset()
    decided: frozenset[str] = frozenset()
    edited: Mapping[ObjectId, tuple[str, ...]] = item(default_factory=dict)


def new_field_name(field: str, vocabulary: str) -> str:
    """The field that names over a vocabulary go to, where none is given."""
    name = f"{field}_{vocabulary.replace('-', '_')}"
    return name if name.isidentifier() else f"{field}_renamed"


def check_new(
    samples: Samples, field: str, settings: runs.Renaming, into: str, overwrite: Overwrite
) -> None:
    """Whether the labels of `field` may be named anew into another.

    Args:
        samples: a dataset or view of images.
        field: whose labels are named anew.
        settings: of the relabelling.
        into: the other field.
        overwrite: what was consented to. A call that was stopped needs no consent to be finished.

    Raises:
        ValueError: it may not.
    """
    check_overwrite(overwrite)
    dataset = root_dataset(samples)
    if into in (field, settings.source):
        raise ValueError(f"the new names need a field of their own: choose one other than {into!r}")
    check_field(dataset, into)
    _check_room(samples, field, into)
    if dataset.get_field(into) is None:
        return
    recorded = runs.recorded(dataset, into)
    if recorded is None:
        _check_foreign(samples, into, overwrite)
    elif "source" not in recorded:
        raise ValueError(
            f"field {into!r} already exists, and is a labelling run itself: use another field, or "
            "remove that run first"
        )
    elif not overwrite:
        same = all(recorded.get(name) == value for name, value in asdict(settings).items())
        if not same or runs.last_started(dataset, into) is not None:
            raise ConsentError(
                f"field {into!r} already exists, with names of {recorded['vocabulary']!r}",
                "use another field",
                OVERWRITE,
            )


def earlier_labels(samples: Samples, field: str, into: str, shown: Collection[str]) -> Earlier:
    """What the new field holds.

    Args:
        samples: a dataset or view of images.
        field: whose labels are named anew.
        into: the new field.
        shown: ids of the labels of `field` that `samples` shows.

    Raises:
        ValueError: `into` holds labels that the view does not show.
    """
    dataset = root_dataset(samples)
    if dataset.get_field(into) is None:
        return Earlier()
    there = LabelTable.read(dataset, into, ("review",))
    if not isinstance(samples, fo.Dataset):
        _check_shown(samples, field, into, there, shown)
    by_hand: dict[ObjectId, tuple[str, ...]] = {}
    changed = edited(dataset, into)
    for owner, label_id in zip(there.samples, there.ids):
        if label_id in changed:
            by_hand[owner] = (*by_hand.get(owner, ()), label_id)
    decided = (there.ids[i] for i in np.flatnonzero(there.given("review")))
    return Earlier(frozenset(there.samples), frozenset(decided), by_hand)


def declare(dataset: fo.Dataset, field: str, into: str) -> None:
    """Declares in the new field all that is declared in the one whose labels are named anew."""
    copy = dataset.get_field(field).copy()
    copy.description = FIELD_DESCRIPTION
    _let_change(copy)
    declare_like(dataset, into, copy)


def _let_change(field: fo.Field) -> None:
    """Of a field that nobody has locked, whatever it was copied from: all below it too."""
    field.read_only = False
    for below in getattr(field, "fields", ()) or ():
        _let_change(below)
    inner = getattr(field, "field", None)
    if isinstance(inner, fo.Field):
        _let_change(inner)


def _check_foreign(samples: Samples, into: str, overwrite: Overwrite) -> None:
    """Of a field that no run is recorded for."""
    if overwrite == "all":
        return
    told = f"field {into!r} already exists, and was not made by relabelling"
    if not overwrite:
        raise ValueError(f"{told}: use another field")
    if found := made_by_hand(samples, into).foreign:
        raise ConsentError(
            f"{told}; {found:,} labels in it, made by no run, are replaced only on request",
            "use another field",
            OVERWRITE_ALL,
        )


def _check_shown(
    samples: Samples, field: str, into: str, there: LabelTable, shown: Collection[str]
) -> None:
    """Whether a view shows all that would be replaced."""
    dataset = root_dataset(samples)
    advice = "relabel the whole dataset, or into another field"
    inside = set(samples.values("_id"))
    if outside := len(set(there.samples) - inside):
        raise ValueError(
            f"{outside} samples outside this view have labels in field {into!r}: {advice}"
        )
    hidden = set(there.ids).difference(shown)
    if hidden and (hidden := hidden.intersection(LabelTable.read(dataset, field, ()).ids)):
        raise ValueError(
            f"{len(hidden)} labels in field {into!r} belong to instances that this view hides: "
            f"{advice}"
        )


def _check_room(samples: Samples, field: str, into: str) -> None:
    """Whether each sample's document can hold its labels a second time."""
    labels = {"$size": list_at(f"{field}.detections")}
    size = {
        "$add": [
            {"$bsonSize": "$$ROOT"},
            {"$ifNull": [{"$bsonSize": f"${field}"}, 0]},
            {"$multiply": [labels, _BYTES_A_NAME]},
            {"$multiply": [{"$ifNull": [{"$bsonSize": f"${into}"}, 0]}, -1]},
        ]
    }
    root = root_dataset(samples)
    stages: list[Any] = [
        {"$match": {"$expr": {"$gt": [{"$bsonSize": "$$ROOT"}, _ROOM // 3]}}},
        {"$match": {"$expr": {"$gt": [size, _ROOM]}}},
        {"$project": {"_id": True}},
    ]
    found = [str(row["_id"]) for row in sample_documents(root).aggregate(stages)]
    if found and (full := samples.select(found).values("filepath")):
        shown = ", ".join(full[:_SHOWN]) + (", ..." if len(full) > _SHOWN else "")
        raise ValueError(
            f"{len(full)} samples have no room for a second set of labels ({shown}): MongoDB "
            "stores at most 16 MB per sample. Relabel a view without them"
        )
