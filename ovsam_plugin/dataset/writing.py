"""The one module that changes labels in the database.

Every change is one update of a sample's document, so that no reader sees half of it, and names its
labels by their ids: between reading a label and writing to it, a person may have deleted one before
it. What a person decided since the label was read stays, by a condition that the database checks.

Samples in memory are shown what was written, and keep what their holder has not saved. The labels
are changed whatever the schema says of them: `fields.check_writable` is asked before work begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as item
from datetime import datetime, timezone
from itertools import groupby
from typing import Any

import fiftyone as fo
from bson import ObjectId
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from ovsam_plugin.dataset import samples_in_memory
from ovsam_plugin.dataset.database import OUT_OF_DISK, disk_full, in_parts
from ovsam_plugin.dataset.expressions import (
    DECIDED,
    OURS,
    Expression,
    Id,
    allowed,
    changed_where,
    filtered,
    list_at,
    listed,
    overlaid,
    row_with,
    rows_of,
)
from ovsam_plugin.dataset.fields import check_declared, error_field
from ovsam_plugin.dataset.internals import sample_documents
from ovsam_plugin.dataset.refusal import Refusal

ASKED = "asked"
"""Beside a sample's labels: which prompts asked for them, and where these lay."""

AHEAD = "ahead"
"""Beside them too, true where they were added to a sample before any run has labelled it."""

REFUSED = "refused"
"""Beside them too: which of these prompts have no answer, and why, "label id: reason"."""

# Updates sent at once.
_SAMPLES_A_WRITE = 100
_TOO_LARGE = (10334, 17419, 17420)
_ROOM = "MongoDB stores at most 16 MB per sample"


@dataclass(frozen=True, eq=False)
class FreshLabels:
    """What labelling one sample gave.

    Attributes:
        sample_id: the sample.
        labels: its labels.
        error: why it, or some of its prompts, could not be labelled; None clears an earlier reason.
        asked: of labels that prompts asked for, where these lay by their keys
            (`unanswered_prompts`), kept beside the labels.
        refused: of those of all prompts that have no answer, kept there too, in words.
    """

    sample_id: Id
    labels: fo.Detections
    error: str | None = None
    asked: Mapping[str, int] | None = None
    refused: Sequence[Refusal] = ()


@dataclass(frozen=True, eq=False)
class Copy:
    """Which labels of a sample are copied into another field, and what they become.

    Attributes:
        sample_id: the sample.
        label_ids: those that are copied.
        values: by label id, attributes that a copy has in place of the label's own.
        left_out: those of `label_ids` that are not copied unless a person has decided about them.
        kept: labels of the other field that stay as they are.
    """

    sample_id: Id
    label_ids: Sequence[Id] = ()
    values: Mapping[Id, Mapping[str, Any]] = item(default_factory=dict)
    left_out: Sequence[Id] = ()
    kept: Sequence[Id] = ()


def change_labels(
    dataset: fo.Dataset,
    field: str,
    labels: Iterable[tuple[Id, Id]],
    change: Mapping[str, Expression],
    *,
    unless: Expression | None = None,
) -> None:
    """Makes the same change to many labels, those of a sample together or not at all.

    Args:
        dataset: the labels' dataset.
        field: a field of Detections.
        labels: (sample id, label id) of each; labels that are gone are passed over.
        change: attributes to set, and the database's expressions of their values over the label
            `$$d`, such as `{"review": {"$literal": "accepted"}}`.
        unless: labels of which this expression is true, when they are written, stay as they are.
    """
    changed = {"$mergeObjects": ["$$d", dict(change)]}
    updates = (
        (sample_id, changed_where(field, changed, allowed({"$in": ["$$d._id", ids]}, unless)))
        for sample_id, ids in _ids_by_sample(labels).items()
    )
    _require(field, _apply(dataset, (field,), updates))


def set_attributes(
    dataset: fo.Dataset,
    field: str,
    labels: Iterable[tuple[Id, Id, Mapping[str, Any]]],
    *,
    unless: Expression | None = None,
) -> None:
    """Sets attributes of labels, each label's own values, those of a sample together.

    Args:
        dataset: the labels' dataset.
        field: a field of Detections.
        labels: (sample id, label id, values by attribute) of each, a sample's in a row where they
            are many; labels that are gone are passed over.
        unless: as for `change_labels`.
    """
    updates = (
        (sample_id, changed_where(field, overlaid(rows), allowed(listed(rows), unless)))
        for sample_id, rows in _by_sample(labels)
    )
    _require(field, _apply(dataset, (field,), updates))


def merge_labels(
    dataset: fo.Dataset,
    field: str,
    sample_id: Id,
    label_id: Id,
    values: Mapping[str, Any],
    merged: Iterable[Id],
) -> None:
    """Sets attributes of a label and deletes those that are merged into it, in one update.

    Args:
        dataset: the labels' dataset.
        field: a field of Detections.
        sample_id: of all of them.
        label_id: the label that stays; where it is gone, nothing changes.
        values: its new values by attribute.
        merged: ids of the labels that go.
    """
    path, kept = f"{field}.detections", ObjectId(label_id)
    gone = [ObjectId(one) for one in merged]
    rows = rows_of([(label_id, values)])
    stays = {"$not": [{"$and": [{"$in": ["$$d._id", gone]}, {"$in": [kept, f"${path}._id"]}]}]}
    stages = [
        *changed_where(field, overlaid(rows), listed(rows)),
        {"$set": {path: filtered(f"${path}", stays)}},
    ]
    _require(field, _apply(dataset, (field,), [(ObjectId(sample_id), stages)]))


def put_labels(
    dataset: fo.Dataset,
    field: str,
    fresh: Iterable[FreshLabels],
    *,
    adds: bool = False,
) -> dict[str, str]:
    """Writes what labelling gave: a sample's labels and its reason of failure, in one update.

    Declare the fields before (`fields.declare_fields`), call it with the labels of one sample or of
    a batch, and file or spool their embeddings before it, as a call that is killed goes on from the
    samples that have labels.

    Where labels do not fit into the sample's document beside all that it holds, none are written;
    what was there stays, and `<field>_error` says so.

    Args:
        dataset: the samples' dataset.
        field: the label field; reasons go to `<field>_error`.
        fresh: one entry a sample.
        adds: whether the labels are added behind those there, and not put in their place. One that
            is there already, by its id, is not added again; undecided answers to the prompts in
            `asked`, which have been moved since, are replaced. Labels that a person has decided
            about, and those that no run of ours made, are kept in either case, in front, and a
            fresh label with the `prompt_id` of one is left out.

    Returns:
        by sample id, the reason of those whose labels did not fit.
    """
    path, reason = f"{field}.detections", error_field(field)
    again: Expression = {"$in": ["$$n._id", "$$old._id"]}
    if not adds:
        asked = {"$in": ["$$n.prompt_id", "$$old.prompt_id"]}
        again = {"$or": [again, {"$and": [{"$gt": ["$$n.prompt_id", None]}, asked]}]}

    def update(one: FreshLabels) -> tuple[ObjectId, list[Expression]]:
        stays: Expression = {"$or": [DECIDED, {"$not": [OURS]}]}
        if adds:
            stays = {"$or": [DECIDED, {"$not": [_answers(field, [*(one.asked or ())])]}]}
        old = filtered(list_at(path), stays)
        made = {"$literal": [label.to_mongo() for label in one.labels.detections]}
        added = {"$filter": {"input": made, "as": "n", "cond": {"$not": [again]}}}
        every = {"$let": {"vars": {"old": old}, "in": {"$concatArrays": ["$$old", added]}}}
        stored: Expression = {"_cls": "Detections", "detections": every}
        if one.asked is not None:
            asked_now: Expression = {"$literal": dict(one.asked)}
            if adds:
                asked_now = {"$mergeObjects": [f"${field}.{ASKED}", asked_now]}
            stored[ASKED], stored[REFUSED] = asked_now, {"$literal": [*map(str, one.refused)]}
        elif adds:
            first = {"$not": [{"$gt": [f"${field}", None]}]}
            ahead: Expression = {"$cond": [first, {AHEAD: True}, {}]}
            stored = {"$mergeObjects": [ahead, f"${field}", stored]}
        if not adds and (one.error is None or one.asked is not None):
            stored[AHEAD] = "$$REMOVE"  # it is labelled now; where it failed, the mark stays
        return ObjectId(one.sample_id), [{"$set": {field: stored, reason: {"$literal": one.error}}}]

    refused = _apply(dataset, (field, reason), map(update, fresh), empty=True)
    why = "the labels do not fit in addition to what the sample already holds: " + _ROOM
    told = {"$set": {reason: why}}
    _apply(dataset, (reason,), ((sample_id, [told]) for sample_id in refused), empty=True)
    return {str(sample_id): why for sample_id in refused}


def _answers(field: str, keys: Sequence[str]) -> Expression:
    """Whether a label answers one of these prompts, whose keys `unanswered_prompts` makes.

    One label may ask twice, as box and as mask: then the answer's type says which it answers. It
    does not where one asks alone, as one without a mask among masks, whose answer is a box's.
    """
    own = {"$concat": ["$$d.prompt_type", ":", "$$d.prompt_id"]}
    asked = {"$objectToArray": {"$ifNull": [f"${field}.{ASKED}", {}]}}
    other = {"$not": [{"$in": [own, {"$map": {"input": asked, "in": "$$this.k"}}]}]}
    ids = [key.partition(":")[2] for key in keys]
    alone = {"$and": [{"$in": ["$$d.prompt_id", {"$literal": ids}]}, other]}
    return {"$or": [{"$in": [own, {"$literal": list(keys)}]}, alone]}


def delete_labels(
    dataset: fo.Dataset,
    field: str,
    labels: Iterable[tuple[Id, Id]],
    *,
    unless: Expression | None = None,
) -> None:
    """Deletes labels, those of a sample together, whoever made them.

    Args:
        dataset: the labels' dataset.
        field: a field of Detections.
        labels: (sample id, label id) of each; labels that are gone are passed over.
        unless: as for `change_labels`.
    """
    path = f"{field}.detections"

    def update(ids: list[ObjectId]) -> list[Expression]:
        stays = {"$not": [allowed({"$in": ["$$d._id", ids]}, unless)]}
        return [{"$set": {path: filtered(f"${path}", stays)}}]

    _apply(
        dataset,
        (field,),
        ((sample_id, update(ids)) for sample_id, ids in _ids_by_sample(labels).items()),
    )


def copy_labels(
    dataset: fo.Dataset,
    source: str,
    into: str,
    copies: Iterable[Copy],
    *,
    replaces_decided: bool = False,
) -> None:
    """Puts copies of some labels of a field, with attributes of their own, in place of another's.

    A sample's labels are replaced in one update, in which the database itself takes over what a
    person has decided by then:

    - a label of `into` with a decision, or one that is to be kept, stays as it is, whether `source`
      has it still or not; so does one that lies in `into` alone and that no run of ours made;
    - a label of `source` with a decision is copied as it is.

    A call that is killed leaves some samples with the old labels and some with the new, each
    complete; the same call finishes them.

    Args:
        dataset: the labels' dataset.
        source: a field of Detections.
        into: another one, declared.
        copies: one entry a sample. What is not copied, nor stays, is removed from `into`.
        replaces_decided: whether nothing of `into` stays, not even what a person decided.

    Raises:
        ValueError: the copies do not fit into some samples, which stay as they were.
    """

    def update(one: Copy) -> tuple[ObjectId, list[Expression]]:
        ids = [ObjectId(i) for i in one.label_ids]
        rows = rows_of((i, values) for i, values in one.values.items())
        left_out = [ObjectId(i) for i in one.left_out]
        label: Expression = {
            "$switch": {
                "branches": [
                    {
                        "case": {"$in": ["$$d._id", "$$kept._id"]},
                        "then": row_with("$$kept", "$$d._id"),
                    },
                    {"case": {"$not": [{"$in": ["$$d._id", ids]}]}, "then": None},
                    {"case": DECIDED, "then": "$$d"},
                    {"case": {"$in": ["$$d._id", left_out]}, "then": None},
                    {"case": listed(rows), "then": overlaid(rows)},
                ],
                "default": "$$d",
            }
        }
        copied = {"$map": {"input": list_at(f"{source}.detections"), "as": "d", "in": label}}
        whole = filtered(copied, {"$ne": ["$$d", None]})
        own = {"$not": [{"$in": ["$$d._id", list_at(f"{source}.detections._id")]}]}
        behind = filtered("$$kept", own)
        stays: Expression = False
        if not replaces_decided:
            kept_ids = [ObjectId(i) for i in one.kept]
            foreign = {"$and": [own, {"$not": [OURS]}]}
            stays = {"$or": [DECIDED, {"$in": ["$$d._id", kept_ids]}, foreign]}
        kept = filtered(list_at(f"{into}.detections"), stays)
        every = {"$let": {"vars": {"kept": kept}, "in": {"$concatArrays": [whole, behind]}}}
        stored = {"_cls": "Detections", "detections": every}
        return ObjectId(one.sample_id), [{"$set": {into: stored}}]

    _require(into, _apply(dataset, (into,), map(update, copies), empty=True))


def _ids_by_sample(labels: Iterable[tuple[Id, Id]]) -> dict[ObjectId, list[ObjectId]]:
    chosen: dict[ObjectId, list[ObjectId]] = {}
    for sample_id, label_id in labels:
        chosen.setdefault(ObjectId(sample_id), []).append(ObjectId(label_id))
    return chosen


def _by_sample(
    labels: Iterable[tuple[Id, Id, Mapping[str, Any]]],
) -> Iterator[tuple[ObjectId, list[dict[str, Any]]]]:
    for sample_id, some in groupby(labels, key=lambda label: label[0]):
        yield ObjectId(sample_id), rows_of((label_id, values) for _, label_id, values in some)


def _require(field: str, refused: Sequence[ObjectId]) -> None:
    if refused:
        shown = ", ".join(map(str, refused[:3])) + (", ..." if len(refused) > 3 else "")
        raise ValueError(
            f"the labels of {len(refused)} samples do not fit into field {field!r} ({shown}): "
            f"{_ROOM}. The others are written"
        )


def _apply(
    dataset: fo.Dataset,
    fields: Sequence[str],
    updates: Iterable[tuple[ObjectId, list[Expression]]],
    *,
    empty: bool = False,
) -> list[ObjectId]:
    """Sends updates of samples; returns those whose documents would have become too large.

    Args:
        fields: those that are written, the labels' first.
        empty: whether samples without labels are written to as well.

    Raises:
        FieldGoneError: as for `check_declared`; nothing is left written in a field that is gone.
    """
    refused: list[ObjectId] = []
    # Where labels are gone, or never were, a list would be made of nothing.
    labels = {} if empty else {f"{fields[0]}.detections.0": {"$exists": True}}
    for part in in_parts(updates, _SAMPLES_A_WRITE):
        stamp = {"$set": {"last_modified_at": datetime.now(timezone.utc)}}
        sent = [UpdateOne({"_id": i, **labels}, [*stages, stamp]) for i, stages in part]
        check_declared(dataset, fields)
        try:
            sample_documents(dataset).bulk_write(sent, ordered=False)
        except BulkWriteError as error:
            failures = error.details["writeErrors"]
            other = [f for f in failures if f["code"] not in _TOO_LARGE]
            if any(f["code"] == OUT_OF_DISK for f in other):
                raise disk_full() from error
            if other:
                raise ValueError(other[0]["errmsg"]) from error
            refused += [part[f["index"]][0] for f in failures]
        check_declared(dataset, fields, (i for i, _ in part))
        samples_in_memory.refresh(dataset, fields, (str(i) for i, _ in part))
    return refused
