"""A review queue that learns: what was decided moves what looks alike forward or back."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Any

import fiftyone as fo
import numpy as np

from ovsam_plugin.curation.decision import ACCEPTED, KINDS, RENAMED
from ovsam_plugin.curation.decisions import make_ready
from ovsam_plugin.curation.review_queue import Entry
from ovsam_plugin.dataset.internals import sample_documents
from ovsam_plugin.dataset.targets import Samples, root_dataset
from ovsam_plugin.import_lock import IMPORTS
from ovsam_plugin.scoring.arrays import column
from ovsam_plugin.scoring.learning import Lessons, learned_doubt
from ovsam_plugin.scoring.priority import shares

LEARNING = "suggested"
"""The order of review that learns; every other one stays what it says."""

RECENT = 500
"""Decisions that are learned from, the latest ones."""


PREPARING = "ovsam-review"
"""The name of the thread that prepares a review."""

logger = logging.getLogger(__name__)

_preparing: dict[tuple[str, str], threading.Thread] = {}


def prepare(samples: Samples, field: str) -> None:
    """Makes indexes and loads embeddings on a thread of its own: no decision waits for them.

    Until it is done, `learned` leaves entries in their order.

    Args:
        samples: the dataset, or a view of it.
        field: a field of Detections.
    """
    dataset = root_dataset(samples)
    key = (dataset.name, field)

    def work() -> None:
        try:
            make_ready(dataset, field)
            if dataset.get_field(f"{field}.detections.priority") is not None:
                # The panel is loaded with the App, and torch comes with the index.
                with IMPORTS:
                    from ovsam_plugin.dataset import embedding_index

                embedding_index.pick(dataset, field, [])
        except Exception as error:  # a decision that needs it says so
            logger.debug("not prepared: %s", error)

    if not _is_preparing(*key):
        _preparing[key] = threading.Thread(target=work, name=PREPARING, daemon=True)
        _preparing[key].start()


def _is_preparing(dataset: str, field: str) -> bool:
    thread = _preparing.get((dataset, field))
    return thread is not None and thread.is_alive()


def learned(samples: Samples, field: str, entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Entries of the suggested order, their doubt put right by all that has been decided by now.

    See `scoring.learning.learned_doubt`; the share of it that counts stays what `priority` left of
    it. They stay as they are where nothing was decided yet, where the embeddings of the run are not
    kept, and while `prepare` loads them.

    Args:
        samples: the dataset, or a view of it.
        field: a field of Detections.
        entries: of `review_queue.queue(..., "suggested")`; their values stay what they were.
    """
    dataset = root_dataset(samples)
    if _is_preparing(dataset.name, field):
        return tuple(entries)
    decided = _decided(dataset, field)
    if not entries or not decided:
        return tuple(entries)
    # The panel is loaded with the App, and torch comes with the index.
    with IMPORTS:
        from ovsam_plugin.dataset import embedding_index

    ids = [entry.label_id for entry in entries]
    try:
        kept = embedding_index.pick(dataset, field, [*ids, *(str(d["_id"]) for d in decided)])
    except ValueError:
        return tuple(entries)
    found = kept.rows([str(d["_id"]) for d in decided])
    decided = [d for d, row in zip(decided, found) if row >= 0]
    lessons = Lessons(
        doubt=[d["doubt"] for d in decided],
        names=[d["name"] for d in decided],
        embeddings=kept.head[found[found >= 0]],
        wrong=np.array([d["review"] != ACCEPTED for d in decided], dtype=bool),
    )
    rows = kept.rows(ids)
    looks = np.where(rows[:, None] >= 0, kept.head[rows], 0)
    before = column([entry.doubt for entry in entries])
    after = learned_doubt(before, [entry.label for entry in entries], looks, lessons)
    counts = shares(column([entry.value for entry in entries]), before)
    order = np.argsort(-np.nan_to_num(counts * after, nan=-1), kind="stable")
    return tuple(entries[i] for i in order)


def _decided(dataset: fo.Dataset, field: str) -> list[dict[str, Any]]:
    """`_id`, `review`, `doubt` and the model's `name` of what was decided last."""
    labels = f"{field}.detections"
    if dataset.get_field(f"{labels}.doubt") is None:
        return []
    names = ("_id", "label", "review", "reviewed_at", "predicted_label", "doubt")
    models = {"$cond": [{"$eq": ["$review", RENAMED]}, "$predicted_label", "$label"]}
    stages: list[dict[str, Any]] = [
        # By the index; a sample counts by its latest decision.
        {"$match": {f"{labels}.reviewed_at": {"$type": "date"}}},
        {"$sort": {f"{labels}.reviewed_at": -1}},
        {"$limit": RECENT},
        {"$project": {f"{labels}.{name}": True for name in names}},
        {"$unwind": f"${labels}"},
        {"$replaceRoot": {"newRoot": f"${labels}"}},
        {"$match": {"review": {"$in": list(KINDS)}, "doubt": {"$gte": 0}}},
        {"$sort": {"reviewed_at": -1, "_id": 1}},
        {"$limit": RECENT},
        {"$set": {"name": models}},
    ]
    return list(sample_documents(dataset).aggregate(stages))
