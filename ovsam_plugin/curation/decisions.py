"""What a person decides about instances: accepted, renamed or rejected, by whom and when.

A decision lives on its label, so it travels with the dataset, and undoing needs no other record:
what was decided last is what carries the latest time. A label is changed in one write of its
sample's document, so that no reader sees half of a decision.
"""

from __future__ import annotations

import getpass
import os
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any, TypeAlias

import fiftyone as fo
from bson import ObjectId
from bson.errors import InvalidId

from ovsam_plugin.curation import decided_labels
from ovsam_plugin.curation.attributes import (
    DECISION,
    check_no_copies,
    declare,
    own_detections,
)
from ovsam_plugin.curation.decision import (
    ACCEPTED,
    KINDS,
    REJECTED,
    RENAMED,
    TAKEN_BACK,
    UNDECIDED,
    Decision,
)
from ovsam_plugin.dataset.expressions import Id
from ovsam_plugin.dataset.fields import check_writable
from ovsam_plugin.dataset.internals import aggregate
from ovsam_plugin.dataset.targets import Samples, root_dataset
from ovsam_plugin.renaming import renamed
from ovsam_plugin.vocabulary.names import clean_name

Ids: TypeAlias = Id | Iterable[Id]
"""One label's id, or many."""

_MILLISECOND = timedelta(milliseconds=1)
_clock_lock = threading.Lock()
_latest = datetime.min


@dataclass(frozen=True)
class Progress:
    """How far a review is.

    Attributes:
        accepted, renamed, rejected: decided instances by kind.
        open: undecided ones. Where the mask was empty there is no name and nothing to decide.
    """

    accepted: int = 0
    renamed: int = 0
    rejected: int = 0
    open: int = 0

    def plus(self, kind: str) -> Progress:
        """With one of the open instances decided in this way."""
        return replace(self, **{kind: getattr(self, kind) + 1, "open": self.open - 1})

    @property
    def decided(self) -> int:
        """Instances with a decision."""
        return self.accepted + self.renamed + self.rejected

    @property
    def total(self) -> int:
        """All instances that can be reviewed."""
        return self.decided + self.open


@renamed(field="label_field")
def accept(samples: Samples, label_field: str, label_ids: Ids, *, by: str | None = None) -> int:
    """The names of these labels are right.

    A label that was renamed keeps the name that it was given. One that was rejected is accepted
    under the model's name.

    Args:
        samples: the dataset, or a view of it.
        label_field: a field of Detections.
        label_ids: one label's id, or many.
        by: who decides; `reviewer()` when not given.

    Returns:
        How many labels changed; those that were decided the same way already keep who and when.

    Raises:
        ValueError: there is no such field, ids are unknown (their sample or label may have been
            deleted) or a label has no name to accept. Nothing is written then.
    """
    return _decide(samples, label_field, label_ids, Decision(ACCEPTED), by)


@renamed(field="label_field")
def rename(
    samples: Samples,
    label_field: str,
    label_ids: Ids,
    name: str,
    *,
    by: str | None = None,
) -> int:
    """These labels show something else: give them this name.

    The model's name is kept in `predicted_label`. Giving a label the model's own name accepts it.

    Args:
        samples: the dataset, or a view of it.
        label_field: a field of Detections.
        label_ids: one label's id, or many.
        name: any name; spaces around it do not count.
        by: as for `accept`.

    Returns:
        How many labels changed, as for `accept`.

    Raises:
        ValueError: as for `accept`; or the name is empty.
    """
    decision = Decision(RENAMED, clean_name(name, "the new name"))
    return _decide(samples, label_field, label_ids, decision, by)


@renamed(field="label_field")
def rename_each(
    samples: Samples, label_field: str, names: Mapping[str, str], *, by: str | None = None
) -> int:
    """Gives each of these labels a name of its own, as one decision, undone in one step.

    Args:
        samples: the dataset, or a view of it.
        label_field: a field of Detections.
        names: by label id.
        by: as for `accept`.

    Returns:
        How many labels changed, as for `accept`.

    Raises:
        ValueError: as for `rename`.
    """
    by = clean_name(reviewer() if by is None else by, "the reviewer's name")
    chosen: dict[str, list[str]] = {}
    for label_id, name in names.items():
        chosen.setdefault(clean_name(name, "the new name"), []).append(label_id)
    dataset, ids = _prepare(samples, label_field, names)
    found = decided_labels.find(dataset, label_field, ids)
    at = _now()
    changed = 0
    for name, some in chosen.items():
        labels = {i: found[i] for i in map(ObjectId, some)}
        changed += _change(dataset, label_field, labels, Decision(RENAMED, name), by, at)
    return changed


@renamed(field="label_field")
def reject(samples: Samples, label_field: str, label_ids: Ids, *, by: str | None = None) -> int:
    """These labels are no instances of anything: leave them out of the ground truth.

    A label without a name may be rejected too.

    Args:
        samples: the dataset, or a view of it.
        label_field: a field of Detections.
        label_ids: one label's id, or many.
        by: as for `accept`.

    Returns:
        How many labels changed, as for `accept`.

    Raises:
        ValueError: there is no such field, or ids are unknown. Nothing is written then.
    """
    return _decide(samples, label_field, label_ids, Decision(REJECTED), by)


@renamed(field="label_field")
def reopen(samples: Samples, label_field: str, label_ids: Ids) -> int:
    """Takes back the decisions on these labels, whoever made them: the model's name stands again.

    Args:
        samples: the dataset, or a view of it.
        label_field: a field of Detections.
        label_ids: one label's id, or many.

    Returns:
        How many labels were decided.

    Raises:
        ValueError: there is no such field, or ids are unknown. Nothing is written then.
    """
    dataset, ids = _prepare(samples, label_field, label_ids)
    found = decided_labels.find(dataset, label_field, ids)
    decided = {i: d for i, d in found.items() if d.get("review")}
    decided_labels.write(dataset, label_field, decided, UNDECIDED)
    return len(decided)


def decided(predicted: str | None, name: str | None, by: str | None) -> dict[str, Any]:
    """What a label carries that a person has just made and named.

    Args:
        predicted: the model's name for it.
        name: the person's; the model's when None.
        by: who; `reviewer()` when None.

    Returns:
        values by attribute: the name, the decision, who and when, and what the model said.

    Raises:
        ValueError: a name is empty.
    """
    given = predicted if name is None else clean_name(name, "the name")
    right = given == predicted
    return {
        "label": given,
        "review": ACCEPTED if right else RENAMED,
        "reviewed_by": clean_name(reviewer() if by is None else by, "the reviewer's name"),
        "reviewed_at": _now(),
        "predicted_label": None if right else predicted,
    }


@renamed(field="label_field")
def undo(samples: Samples, label_field: str, *, steps: int = 1, by: str | None = None) -> list[str]:
    """Takes back the last decision, and those before it.

    What was decided in one call is one decision. Where it replaced an earlier one that one stands
    again, whoever made it; other labels are undecided and carry the model's name.

    Args:
        samples: the dataset, or a view of it.
        label_field: a field of Detections.
        steps: how many decisions to take back.
        by: take back this person's alone; everybody's when not given.

    Returns:
        Ids of the labels that it was about; empty when nothing was left to undo.

    Raises:
        ValueError: there is no such field, or `steps` is not positive.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}, must be 1 or more")
    dataset, _ = _prepare(samples, label_field, ())
    undone: list[str] = []
    for _ in range(steps):
        last = decided_labels.last_decided(dataset, label_field, by)
        if last is None:
            break
        # Somebody may have decided anew since.
        at = next(iter(last.values()))["reviewed_at"]
        anew = {"$ne": ["$$d.reviewed_at", at]}
        decided_labels.write(dataset, label_field, last, TAKEN_BACK, unless=anew)
        there = decided_labels.now_on(dataset, label_field, last)
        times = {i: label.get("reviewed_at") for i, label in there.items()}
        undone += [str(i) for i, stands in times.items() if stands is None or stands < at]
    return list(dict.fromkeys(undone))


@renamed(field="label_field")
def progress(samples: Samples, label_field: str) -> Progress:
    """Counts of decided and open instances, by one aggregation.

    Args:
        samples: the dataset, or a view of it.
        label_field: a field of Detections.

    Returns:
        the counts.

    Raises:
        ValueError: there is no such field, or it holds something else.
    """
    samples = own_detections(samples, label_field)
    labels = f"{label_field}.detections"
    rows = aggregate(
        samples,
        [
            {"$project": {f"{labels}.review": True, f"{labels}.label": True}},
            {"$unwind": f"${labels}"},
            {"$project": {"review": f"${labels}.review", "label": f"${labels}.label"}},
            {"$match": {"$or": [{"label": {"$ne": None}}, {"review": {"$in": list(KINDS)}}]}},
            {"$group": {"_id": "$review", "count": {"$sum": 1}}},
        ],
    )
    counts: Counter[str] = Counter()
    for row in rows:
        counts[row["_id"] if row["_id"] in KINDS else "open"] += row["count"]
    return Progress(**counts)


@renamed(field="label_field")
def make_ready(dataset: fo.Dataset, label_field: str) -> None:
    """Declares what decisions write and makes the database indexes that they need.

    The first decision does it, and waits; so it is done before, where there is time.

    Args:
        dataset: the labels' dataset.
        label_field: a field of Detections.

    Raises:
        ValueError: as for `attributes.declare`.
    """
    declare(dataset, label_field)
    # A label is found among millions by its id, and the last decision by its time.
    for name in ("id", "reviewed_at"):
        dataset.create_index(f"{label_field}.detections.{name}")
    if (last := decided_labels.newest(dataset, label_field)) is not None:
        _know(last)


def check_decidable(
    samples: Samples, label_field: str, label_ids: Ids, *, accepts: bool
) -> dict[ObjectId, dict[str, Any]]:
    """The labels that are to be decided about.

    Args:
        samples: the dataset, or a view of it.
        label_field: a field of Detections.
        label_ids: one label's id, or many.
        accepts: whether their names are to be accepted.

    Returns:
        by id, what they are called, what has been decided on them, and the id of their `sample`.

    Raises:
        ValueError: as for `accept`.
    """
    dataset, ids = _prepare(samples, label_field, label_ids)
    found = decided_labels.find(dataset, label_field, ids)
    nameless = [i for i, d in found.items() if d.get("label") is None]
    if accepts and nameless:
        raise ValueError(
            f"{len(nameless)} of these labels have no name to accept "
            f"({decided_labels.few(nameless)}): reject them, or give them a name"
        )
    return found


def reviewer() -> str:
    """Who decides when nobody is named: OVSAM_REVIEWER, else the system's user.

    Returns:
        a name; "unknown" where the system has none.
    """
    name = os.environ.get("OVSAM_REVIEWER", "").strip()
    if name:
        return name
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number without a name
        return "unknown"


def _decide(
    samples: Samples, label_field: str, label_ids: Ids, decision: Decision, by: str | None
) -> int:
    by = clean_name(reviewer() if by is None else by, "the reviewer's name")
    accepts = decision.kind == ACCEPTED
    found = check_decidable(samples, label_field, label_ids, accepts=accepts)
    return _change(root_dataset(samples), label_field, found, decision, by, _now())


def _change(
    dataset: fo.Dataset,
    label_field: str,
    found: Mapping[ObjectId, Mapping[str, Any]],
    decision: Decision,
    by: str,
    at: datetime,
) -> int:
    """Decides about those labels that are not decided like this already; how many they are."""
    changed = {i: d for i, d in found.items() if not decision.stands_on(d)}
    change = decision.change(by, at)
    decided_labels.write(dataset, label_field, changed, change, unless=decision.stands())
    return len(changed)


def _prepare(
    samples: Samples, label_field: str, label_ids: Ids
) -> tuple[fo.Dataset, list[ObjectId]]:
    """The dataset, its attributes declared and indexed, and the ids, each once."""
    check_no_copies(samples)
    dataset = root_dataset(samples)
    check_writable(dataset, label_field, ("label", *(a.name for a in DECISION)))
    make_ready(dataset, label_field)
    given = [label_ids] if isinstance(label_ids, str | ObjectId) else list(label_ids)
    try:
        return dataset, list(dict.fromkeys(ObjectId(i) for i in given))
    except (InvalidId, TypeError) as error:
        raise ValueError(f"a label's id is 24 hexadecimal digits: {error}") from None


def _now() -> datetime:
    """The time in UTC, of the database's resolution, later than any that was given before."""
    global _latest
    with _clock_lock:
        now = datetime.now(timezone.utc).replace(tzinfo=None)
        now -= timedelta(microseconds=now.microsecond % 1000)
        _latest = now if now > _latest else _latest + _MILLISECOND
        return _latest


def _know(latest: datetime) -> None:
    """That this time was given by another process, whose clock may be ahead."""
    global _latest
    with _clock_lock:
        _latest = max(_latest, latest)
