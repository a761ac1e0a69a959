"""The order of a review, by real queries."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import pytest
from bson import ObjectId

from ovsam_plugin.curation.decisions import accept, reject, rename, undo
from ovsam_plugin.curation.review_queue import (
    Filters,
    load_instance,
    orders,
    queue,
)
from ovsam_plugin.dataset.fields import declare_fields
from ovsam_plugin.scoring.orders import ORDERS

FIELD = "ovsam"
BOTH = ("head", "clip")


def names(dataset: Any, order: str, **kwargs: Any) -> list[str]:
    return [entry.label for entry in queue(dataset, FIELD, order, **kwargs)]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("confidence", "spoon dog cup person cup2 cat"),
        ("margin", "cup dog spoon person cup2 cat"),
        ("instability", "person spoon cat cup2 dog cup"),
    ],
)
def test_each_order_puts_the_most_doubtful_first(
    labelled: fo.Dataset, ids: dict[str, str], order: str, expected: str
) -> None:
    found = queue(labelled, FIELD, order)
    assert [e.label_id for e in found] == [ids[name] for name in expected.split()]
    values = [e.value for e in found if e.value is not None]
    assert len(values) == 6
    assert 1 >= values[0] > values[-1] >= 0


def test_the_database_orders_as_the_scores_do(labelled: fo.Dataset, ids: dict[str, str]) -> None:
    paths = {n: f"{FIELD}.detections.{n}" for n in ("id", "confidence", "margin", "stability")}
    rows = [row for row in zip(*labelled.values(list(paths.values()), unwind=True)) if row[2]]
    columns = {n: [row[i] for row in rows] for i, n in enumerate(paths)}
    branches = {n: labelled.values(f"{FIELD}.detections.{n}_score", unwind=True)[:6] for n in BOTH}
    scored = {**columns, **{f"{n}_score": v for n, v in branches.items()}}
    for stored, order in (("doubt", "doubt"), ("disagreement", "disagreement")):
        values = dict(zip(columns["id"], ORDERS[order].score(scored).tolist()))
        labelled.set_label_values(f"{FIELD}.detections.{stored}", values)
    for name in ("doubt", "confidence", "margin", "disagreement", "instability"):
        expected = dict(zip(columns["id"], ORDERS[name].score(scored)))
        found = queue(labelled, FIELD, name)
        assert {e.label_id: e.value for e in found} == pytest.approx(expected)
        assert [e.value for e in found] == sorted(expected.values(), reverse=True)


def test_scores_that_were_filled_later_are_offered_and_nothing_comes_last(
    labelled: fo.Dataset, ids: dict[str, str]
) -> None:
    assert orders(labelled, FIELD) == ["confidence", "margin", "instability"]
    with pytest.raises(
        ValueError, match="'outlier' needs 'outlier', which no label of 'ovsam' has"
    ):
        queue(labelled, FIELD, "outlier")
    values = {ids["cup2"]: 0.9, ids["cat"]: 0.4}
    labelled.set_label_values(f"{FIELD}.detections.outlier", values)
    labelled.set_label_values(f"{FIELD}.detections.priority", {ids["dog"]: 0.0})
    assert orders(labelled, FIELD)[0] == "suggested"
    found = queue(labelled, FIELD, "outlier")
    assert [(e.label, e.value) for e in found[:2]] == [("cup", 0.9), ("cat", 0.4)]
    assert [e.value for e in found[2:]] == [None] * 4
    assert names(labelled, "suggested")[0] == "dog"


def test_what_is_decided_leaves_the_queue_and_comes_back_when_undone(
    labelled: fo.Dataset, ids: dict[str, str]
) -> None:
    accept(labelled, FIELD, ids["spoon"])
    rename(labelled, FIELD, ids["dog"], "fox")
    reject(labelled, FIELD, ids["cat"])
    assert names(labelled, "confidence") == ["cup", "person", "cup"]
    undo(labelled, FIELD, steps=2)
    assert names(labelled, "confidence") == ["dog", "cup", "person", "cup", "cat"]


def test_equal_values_are_in_one_order_whatever_the_limit(labelled: fo.Dataset) -> None:
    labelled.set_values(f"{FIELD}.detections.margin", [[0.5] * 3, [0.5] * 2, [0.5] * 2])
    every = queue(labelled, FIELD, "margin")
    assert len({entry.label_id for entry in every}) == 6
    for limit in range(1, 7):
        assert queue(labelled, FIELD, "margin", limit=limit) == every[:limit]


def test_the_queue_can_be_filtered(labelled: fo.Dataset) -> None:
    def filtered(**kwargs: Any) -> list[str]:
        return names(labelled, "confidence", filters=Filters(**kwargs))

    assert filtered(classes=("cup", "dog")) == ["dog", "cup", "cup"]
    assert filtered(confidence=(0.3, 0.6)) == ["dog", "cup", "person"]
    assert filtered(classes=("cup",), confidence=(0.6, 1)) == ["cup"]
    assert filtered(classes=("nothing",)) == []
    assert names(labelled.limit(1), "confidence") == ["dog", "cup", "cat"]


@pytest.mark.parametrize("confidence", [(0.5, 0.2), (-0.1, 1), (0, 1.5), (float("nan"), 1)])
def test_a_range_that_is_none_is_refused(confidence: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="within 0 to 1"):
        Filters(confidence=confidence)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"order": "doubtful"}, "there is no order 'doubtful'"),
        ({"order": "suggested"}, "needs 'priority'"),
        ({"order": "margin", "limit": 0}, "limit is a whole number from 1 on, got 0"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    labelled: fo.Dataset, kwargs: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        queue(labelled, FIELD, **kwargs)


def test_only_the_needed_attributes_leave_the_database(
    labelled: fo.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, Any]] = []
    aggregate = fo.Dataset._aggregate

    def watched(self: fo.Dataset, *args: Any, **kwargs: Any) -> list[dict[str, Any]]:
        rows = list(aggregate(self, *args, **kwargs))
        seen.extend(rows)
        return rows

    monkeypatch.setattr(fo.Dataset, "_aggregate", watched)
    queue(labelled, FIELD, "confidence", limit=2)
    rows = [row for row in seen if "value" in row]
    assert [len(rows), *{"mask" in row for row in rows}] == [2, False]


def test_an_instance_is_loaded_with_its_mask_or_is_gone(
    labelled: fo.Dataset, ids: dict[str, str]
) -> None:
    entry = queue(labelled, FIELD, "confidence")[1]
    found = load_instance(labelled, FIELD, entry.sample_id, entry.label_id)
    assert found is not None
    assert (found.label.label, found.label.mask.shape) == ("dog", (50, 100))
    assert found.filepath == labelled.first().filepath
    assert load_instance(labelled, FIELD, entry.sample_id, str(ObjectId())) is None
    labelled.delete_samples([entry.sample_id])
    assert load_instance(labelled, FIELD, entry.sample_id, entry.label_id) is None


def test_a_field_without_labels_has_an_empty_queue(dataset: fo.Dataset) -> None:
    declare_fields(dataset, FIELD)
    assert orders(dataset, FIELD) == []
    with pytest.raises(ValueError, match="choose another field"):
        queue(dataset, FIELD)


def test_an_order_is_offered_by_numbers_alone(labelled: fo.Dataset) -> None:
    path = f"{FIELD}.detections.unknown"
    none = [[float("nan")] * len(row) for row in labelled.values(f"{FIELD}.detections.id")]
    labelled.set_values(path, none)
    assert "unknown" not in orders(labelled, FIELD)
    none[0][0] = 0.5
    labelled.set_values(path, none)
    assert "unknown" in orders(labelled, FIELD)
