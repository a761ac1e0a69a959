"""What is computed over labels, by a real database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from bson import ObjectId
from pymongo.collection import Collection

from ovsam_plugin.dataset import expressions
from ovsam_plugin.dataset.internals import database

IDS = [ObjectId() for _ in range(3)]
LABELS = [
    {"_id": IDS[0], "label": "cat", "review": "accepted", "prompt_type": "box"},
    {"_id": IDS[1], "label": "dog", "review": None, "prompt_type": None},
    {"_id": IDS[2], "label": "cup"},
]


@pytest.fixture
def samples() -> Iterator[Collection[Any]]:
    """One sample with labels, one without."""
    collection = database()["samples_of_test_expressions"]
    collection.insert_many([{"_id": 1, "ovsam": {"detections": LABELS}}, {"_id": 2}])
    yield collection
    collection.drop()


def computed(samples: Collection[Any], expression: Any) -> list[Any]:
    stages = [{"$sort": {"_id": 1}}, {"$project": {"told": expression}}]
    return [row["told"] for row in samples.aggregate(stages)]


def chosen(samples: Collection[Any], condition: Any) -> list[str]:
    """The names of the labels of which a condition is true; a sample without any has none."""
    first, second = computed(
        samples, expressions.filtered(expressions.list_at("ovsam.detections"), condition)
    )
    assert second == []
    return [label["label"] for label in first]


def test_decided_labels_and_those_of_a_run_are_told(samples: Collection[Any]) -> None:
    assert chosen(samples, expressions.DECIDED) == ["cat"]
    assert chosen(samples, expressions.OURS) == ["cat"]


def test_a_condition_holds_where_another_does_not(samples: Collection[Any]) -> None:
    listed = expressions.listed(expressions.rows_of([(str(IDS[0]), {}), (IDS[2], {})]))
    assert chosen(samples, expressions.allowed(listed, None)) == ["cat", "cup"]
    assert chosen(samples, expressions.allowed(listed, expressions.DECIDED)) == ["cup"]


def test_labels_take_the_values_of_their_own_rows_which_are_no_expressions(
    samples: Collection[Any],
) -> None:
    rows = expressions.rows_of([(IDS[2], {"label": "$ovsam"}), (IDS[1], {"label": "wolf"})])
    update = expressions.changed_where(
        "ovsam", expressions.overlaid(rows), expressions.listed(rows)
    )
    samples.update_one({"_id": 1}, update)
    found = samples.find_one({"_id": 1})
    assert found is not None
    assert [label["label"] for label in found["ovsam"]["detections"]] == ["cat", "wolf", "$ovsam"]
    assert found["ovsam"]["detections"][0] == LABELS[0]
