"""Samples that a caller holds while others write."""

from __future__ import annotations

import fiftyone as fo
import pytest

from ovsam_plugin.dataset import writing
from ovsam_plugin.dataset.fields import delete_fields
from ovsam_plugin.dataset.samples_in_memory import edits_kept, refresh

from .test_writing import FIELD, names, pairs


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
    delete_fields(labelled, ("ovsam", "gone already"))
    assert first.tags == ["mine"]
    assert second["ovsam_error"] == "mine"
    first.save()
    second.save()
    labelled.clear_cache()
    assert "ovsam" not in labelled.first().field_names
    assert labelled.first().tags == ["mine"]
    assert labelled.values("ovsam_error") == [None, "mine", None]


def test_only_samples_that_were_written_are_shown_anew(labelled: fo.Dataset) -> None:
    first, second, _ = list(labelled)
    path = f"{FIELD}.detections.0.label"
    labelled._sample_collection.update_many({}, {"$set": {path: "tabby"}})
    refresh(labelled, [FIELD, "gone"], [first.id])
    assert first[FIELD].detections[0].label == "tabby"
    assert second[FIELD].detections[0].label == "cup"


def test_a_sample_that_was_deleted_meanwhile_stays_as_it_is(labelled: fo.Dataset) -> None:
    first = labelled.first()
    labelled._sample_collection.delete_one({"_id": first._id})
    refresh(labelled, [FIELD], [first.id])
    assert first[FIELD].detections[0].label == "cat"


def test_edits_are_kept_whatever_happens_meanwhile(labelled: fo.Dataset) -> None:
    first = labelled.first()
    first.tags.append("mine")
    with pytest.raises(ValueError, match="no_such_field"), edits_kept(labelled):
        labelled.set_values("no_such_field.x", [1] * 3)
    assert first.tags == ["mine"]
    assert labelled.first() is first  # it is held again
