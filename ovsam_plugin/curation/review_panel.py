"""What the panel "Review" asks, as JSON has it: a queue, decisions in their order, pictures.

Nothing is kept here from one question to the next. The panel sends where its review stands along
with every decision, so a server that was started anew goes on where the old one stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import fiftyone as fo
import numpy as np

from ovsam_plugin.curation.known_names import known_names
from ovsam_plugin.curation.review_learning import prepare
from ovsam_plugin.curation.review_picture import SIZE, SMALL, data_address, instance_picture
from ovsam_plugin.curation.review_queue import Filters, load_instance, undecided
from ovsam_plugin.curation.review_session import ReviewSession, describe_instance
from ovsam_plugin.dataset.internals import aggregate
from ovsam_plugin.dataset.targets import (
    Samples,
    check_detections,
    fields_of,
    root_dataset,
    shown_labels,
)
from ovsam_plugin.import_lock import IMPORTS

_NOTHING = "This dataset has no field of instances: run Label first."
_LIKELY = "ovsam"
# Instances of a set that are drawn; those that look most alike are no more than these.
DRAWN = 24


def open_review(samples: Samples, asked: Mapping[str, Any]) -> dict[str, Any]:
    """A review from its front, of what the grid shows.

    Args:
        samples: what the App shows.
        asked: `field`, `order`, `classes` and `confidence`, each where it was chosen.

    Returns:
        `fields` to choose from, the `field`, the `session`, or the `trouble` in its place, and
        `names` to give.
    """
    fields = fields_of(root_dataset(samples), (fo.Detections,))
    likely = [name for name in (asked.get("field"), _LIKELY, *fields) if name in fields]
    told: dict[str, Any] = {"fields": fields, "field": likely[0] if likely else None}
    if not likely:
        return {**told, "session": None, "trouble": _NOTHING, "names": []}
    field = likely[0]
    try:
        confidence = asked.get("confidence")
        filters = Filters(
            tuple(asked.get("classes") or ()), tuple(confidence) if confidence else None
        )
        seen = shown_labels(samples, field)
        session = ReviewSession.start(seen, field, asked.get("order"), filters)
        prepare(samples, field)
    except ValueError as error:
        return {**told, "session": None, "trouble": str(error), "names": []}
    names = known_names(samples, field)
    return {**told, "session": session.to_state(), "trouble": None, "names": names}


def act(
    samples: Samples,
    state: Mapping[str, Any],
    actions: Sequence[Mapping[str, Any]],
    by: str | None = None,
) -> dict[str, Any]:
    """Decides, one after another, and says what waits then.

    Args:
        samples: what the App shows.
        state: where the review stands.
        actions: `kind`, one of "accept", "rename", "reject", "delete", "skip", "undo" and
            "recount"; `labels`, the ids that it is about; `name`, for "rename".
        by: who decides; `reviewer()` when None.

    Returns:
        the `session`; and `problems`, the `labels` and a `message` for each action that was
        refused: the others are done.

    Raises:
        ValueError: the state is none of a review of a field that is there.
    """
    session = ReviewSession.from_state(state)
    check_detections(samples, session.field)
    seen = shown_labels(samples, session.field)
    problems: list[dict[str, Any]] = []
    for action in actions:
        try:
            session = _acted(session, seen, action, by)
        except ValueError as error:
            about = action.get("labels") if isinstance(action, Mapping) else None
            problems.append({"labels": about or [], "message": str(error)})
            session = session.recounted(seen)  # somebody else may have decided
    session, _ = session.current(seen)
    return {"session": session.to_state(), "problems": problems}


def picture(dataset: fo.Dataset, field: str, sample_id: str, label_id: str) -> dict[str, Any]:
    """An instance as it is shown: `describe_instance`, and its `picture` as an address.

    Returns:
        nothing where it was deleted meanwhile.
    """
    found = load_instance(dataset, field, sample_id, label_id)
    if found is None:
        return {}
    drawn = instance_picture(found.filepath, found.label, SIZE)
    return {**describe_instance(found), "picture": data_address(drawn)}


def together(samples: Samples, field: str, sample_id: str, label_id: str) -> dict[str, Any]:
    """Undecided instances that may be decided as one with another.

    Args:
        samples: what the App shows.
        field: a field of Detections.
        sample_id, label_id: the instance.

    Returns:
        `kind`: "group", all of its group among the unknown instances, or "alike", those that look
        most like it, most alike first. `members`: `sample_id`, `label_id` and `label` of each, the
        first DRAWN with a `picture`; `chosen` says whether it is one until a person says otherwise:
        all of a group, and of those that look alike those of the same name.

    Raises:
        ValueError: it is gone, or its run keeps no embeddings.
    """
    dataset = root_dataset(samples)
    found = load_instance(dataset, field, sample_id, label_id)
    if found is None:
        raise ValueError("this instance is no longer there")
    seen = shown_labels(samples, field)
    rows = [
        row
        for row in aggregate(seen, undecided(field, Filters(), ("group",)))
        if str(row["_id"]) != label_id
    ]
    group = found.label.get_attribute_value("group", None)
    if group is not None:
        members = [row for row in rows if row.get("group") == group]
    else:
        members = _alike(dataset, field, label_id, rows)
    told = []
    for place, row in enumerate(members):
        one = {"sample_id": str(row["sample"]), "label_id": str(row["_id"]), "label": row["label"]}
        one["chosen"] = group is not None or row["label"] == found.label.label
        if place < DRAWN:
            instance = load_instance(dataset, field, one["sample_id"], one["label_id"])
            if instance is None:
                continue
            small = instance_picture(instance.filepath, instance.label, SMALL)
            one["picture"] = data_address(small)
        told.append(one)
    return {"kind": "alike" if group is None else "group", "members": told}


def _acted(
    session: ReviewSession, seen: Samples, action: Mapping[str, Any], by: str | None
) -> ReviewSession:
    if not isinstance(action, Mapping) or not isinstance(action.get("labels") or [], list):
        raise ValueError(f"an action has a kind and a list of labels, got {action!r:.80}")
    kind, labels = action.get("kind"), [str(label) for label in action.get("labels") or ()]
    if kind == "accept":
        return session.accept(seen, labels, by)
    if kind == "rename":
        return session.rename(seen, labels, str(action.get("name") or ""), by)
    if kind == "reject":
        return session.reject(seen, labels, by)
    if kind == "delete":
        return session.delete(seen, labels)
    if kind == "skip":
        return session.skip(labels)
    if kind == "recount":
        return session.recounted(seen)
    if kind == "undo":
        session, undone = session.undo(seen, by)
        if not undone:
            raise ValueError("There is no decision of yours to undo")
        return session
    raise ValueError(f"{kind!r} cannot be done")


def _alike(
    dataset: fo.Dataset, field: str, label_id: str, rows: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Those of the rows that look most like an instance, DRAWN at most."""
    # The panel is loaded with the App, and torch comes with the index.
    with IMPORTS:
        from ovsam_plugin.dataset import embedding_index

    ids = [str(row["_id"]) for row in rows]
    kept = embedding_index.pick(dataset, field, [label_id, *ids])
    (at,) = kept.rows([label_id])
    if at < 0:
        raise ValueError("the embedding of this instance is not kept: it was changed by hand")
    places = kept.rows(ids)
    known = np.flatnonzero(places >= 0)
    cosines = kept.head[places[known]] @ kept.head[at]
    order = np.argsort(-cosines, kind="stable")[:DRAWN]
    return [rows[int(i)] for i in known[order]]
