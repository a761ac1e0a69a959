"""Samples that a caller holds while others write."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
from bson import ObjectId

from ovsam_plugin.dataset import writing

FIELD = "ovsam"


def stored(dataset: fo.Dataset, field: str = FIELD) -> list[list[dict[str, Any]] | None]:
    """What the database holds, a list a sample."""
    found = dataset._sample_collection.find({}).sort("_id")
    return [(s.get(field) or {}).get("detections") for s in found]


def names(dataset: fo.Dataset, field: str = FIELD) -> list[list[str | None] | None]:
    return [
        None if row is None else [d.get("label") for d in row] for row in stored(dataset, field)
    ]


def pairs(dataset: fo.Dataset, field: str = FIELD) -> list[tuple[ObjectId, ObjectId]]:
    found = dataset._sample_collection.find({}).sort("_id")
    return [(s["_id"], d["_id"]) for s in found for d in s[field]["detections"]]


def test_samples_in_memory_see_what_is_written_and_keep_what_is_not_saved(
    labelled: fo.Dataset,
) -> None:
    first, second, third = list(labelled)
    first.tags.append("mine")
    second[FIELD].detections[0].label = "tabby"
    rows = [(s, i, {"label": "new"}) for s, i in pairs(labelled)]
    writing.set_attributes(labelled, FIELD, rows)
    assert first.tags == ["mine"]
    assert [d.label for d in first[FIELD].detections] == ["new"] * 3
    assert second[FIELD].detections[0].label == "tabby"
    assert [d.label for d in third[FIELD].detections] == ["new"] * 2
    for sample in (first, second):
        sample.save()
    labelled.reload()
    assert labelled.first().tags == ["mine"]
    assert names(labelled) == [["new"] * 3, ["tabby", "new"], ["new"] * 2]


def test_a_deleted_field_takes_its_unsaved_edits_with_it_and_no_others(
    labelled: fo.Dataset,
) -> None:
    first, second, _ = list(labelled)
    first.tags.append("mine")
    first[FIELD].detections[0].label = "tabby"
    second["ovsam_error"] = "mine"
    writing.delete_fields(labelled, ("ovsam", "gone already"))
    assert first.tags == ["mine"]
    assert second["ovsam_error"] == "mine"
    first.save()
    second.save()
    labelled.clear_cache()
    assert "ovsam" not in labelled.first().field_names
    assert labelled.first().tags == ["mine"]
    assert labelled.values("ovsam_error") == [None, "mine", None]
