"""What a decision makes of a label, computed by a real database over labels in every state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import product
from typing import Any

import pytest
from pymongo.collection import Collection

from ovsam_plugin.curation.decision import (
    ACCEPTED,
    KINDS,
    REJECTED,
    RENAMED,
    UNDECIDED,
    Decision,
)
from ovsam_plugin.dataset.internals import database

AT = datetime(2024, 5, 4, 3, 2, 1)
DECISIONS = [
    Decision(ACCEPTED),
    Decision(REJECTED),
    Decision(RENAMED, "cat"),
    Decision(RENAMED, "$label"),
]
LABELS = [
    {"label": label, **review, **predicted}
    for label, review, predicted in product(
        ("cat", "dog", "$label", None),
        ({}, *({"review": kind} for kind in (None, *KINDS))),
        ({}, {"predicted_label": None}, {"predicted_label": "dog"}),
    )
]


@pytest.fixture
def labels() -> Iterator[Collection[Any]]:
    collection = database()["labels_in_every_state"]
    collection.insert_many({"_id": i, "d": label} for i, label in enumerate(LABELS))
    yield collection
    collection.drop()


def over_each(expression: Any) -> Any:
    """An expression over a label, of which each document here holds one."""
    return {"$let": {"vars": {"d": "$d"}, "in": expression}}


def computed(labels: Collection[Any], expression: Any) -> list[Any]:
    """What the database makes of an expression over each label."""
    stages = [{"$sort": {"_id": 1}}, {"$project": {"told": over_each(expression)}}]
    return [row["told"] for row in labels.aggregate(stages)]


def changed(labels: Collection[Any], change: Mapping[str, Any]) -> list[dict[str, Any]]:
    return computed(labels, {"$mergeObjects": ["$$d", change]})


@pytest.mark.parametrize("decision", DECISIONS, ids=str)
def test_the_database_sees_a_decision_stand_where_it_was_seen_when_read(
    labels: Collection[Any], decision: Decision
) -> None:
    stand = [decision.stands_on(label) for label in LABELS]
    assert computed(labels, decision.stands()) == stand
    assert any(stand)
    assert not all(stand)


@pytest.mark.parametrize("decision", DECISIONS, ids=str)
def test_a_decision_that_was_made_stands_and_says_who_and_when(
    labels: Collection[Any], decision: Decision
) -> None:
    for before, after in zip(LABELS, changed(labels, decision.change("$ada", AT))):
        assert decision.stands_on(after), before
        assert (after["reviewed_by"], after["reviewed_at"]) == ("$ada", AT)
        if decision.kind != RENAMED:
            assert (after["review"], after["predicted_label"]) == (decision.kind, None)


def test_what_the_model_called_a_label_comes_back_from_every_decision(
    labels: Collection[Any],
) -> None:
    fresh = [{"label": "dog"}, {"label": "cat"}, {"label": None}]
    labels.delete_many({})
    labels.insert_many({"_id": i, "d": label} for i, label in enumerate(fresh))
    for number, decision in enumerate(DECISIONS * 2):
        made = decision.change("ada", AT + timedelta(seconds=number))
        labels.update_many({}, [{"$set": {"d": over_each({"$mergeObjects": ["$$d", made]})}}])
        assert all(label["review"] for label in computed(labels, "$$d"))
    for label, after in zip(fresh, changed(labels, UNDECIDED)):
        assert after["label"] == label["label"]
        assert all(
            after[name] is None
            for name in ("review", "reviewed_by", "reviewed_at", "predicted_label")
        )


def test_an_imported_label_that_was_renamed_without_the_models_name_keeps_its_own(
    labels: Collection[Any],
) -> None:
    for before, after in zip(LABELS, changed(labels, UNDECIDED)):
        if before.get("review") == RENAMED and "predicted_label" not in before:
            assert after["label"] == before["label"]
