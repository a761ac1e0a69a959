"""Prompts that are drawn on photographs after these were labelled."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import Any

import fiftyone as fo
import pytest
from bson import ObjectId

from ovsam_plugin import LabelSummary, label_dataset
from ovsam_plugin.curation.decisions import rename
from ovsam_plugin.dataset import embedding_index
from ovsam_plugin.dataset.fields import declare_fields
from ovsam_plugin.dataset.new_prompts import asking, drawn_since
from ovsam_plugin.dataset.outlines import edited

SETTINGS: dict[str, Any] = {
    "vocabulary": "cat, cup, person, spoon",
    "box_field": "asks",
    "device": "cpu",
    "workers": 0,
    "progress": False,
}


@pytest.fixture
def boxed(dataset: fo.Dataset) -> fo.Dataset:
    """The photographs, each with one box that asks."""
    for sample in dataset:
        box = fo.Detection(label="thing", bounding_box=[0.2, 0.2, 0.6, 0.6])
        sample["asks"] = fo.Detections(detections=[box])
        sample.save()
    return dataset


def label(dataset: fo.Dataset) -> LabelSummary:
    return label_dataset(dataset, **SETTINGS)


def label_ids(dataset: fo.Dataset) -> list[list[str] | None]:
    ids: list[list[str] | None] = dataset.values("ovsam.detections.id")
    return ids


def test_prompts_that_were_drawn_since_are_answered_and_nothing_else_changes(
    boxed: fo.Dataset,
) -> None:
    label(boxed)
    first, second, third = boxed
    rename(boxed, "ovsam", second["ovsam"].detections[0].id, "lynx")
    boxed.delete_labels(ids=[third["ovsam"].detections[0].id], fields=["ovsam"])
    boxed.reload()
    before = label_ids(boxed)
    time.sleep(1.1)  # an id tells the second that it was made in
    for sample in (first, second):
        drawn = fo.Detection(label="thing", bounding_box=[0.1, 0.1, 0.5, 0.5])
        sample["asks"].detections.append(drawn)
        sample.save()
    summary = label(boxed)
    assert (summary.labelled, summary.kept) == (2, 1)
    after = label_ids(boxed)
    assert [len(row or ()) for row in after] == [2, 2, 0]
    assert [(row or [])[:1] for row in after] == [(row or [])[:1] for row in before]
    old, new = boxed[second.id]["ovsam"].detections
    assert (old.label, old["review"]) == ("lynx", "renamed")
    assert new["prompt_id"] == boxed[second.id]["asks"].detections[1].id
    assert all(type(d["outline"]) is float for d in (old, new))
    assert edited(boxed, "ovsam") == set()
    kept = embedding_index.load(boxed, "ovsam")
    assert set(kept.label_ids) == {i for row in after for i in row or ()}
    assert label(boxed).kept == 3


def test_a_deleted_answer_to_a_prompt_whose_id_is_no_time_is_not_made_again(
    boxed: fo.Dataset,
) -> None:
    sample = boxed.first()
    made = fo.Detection(id="f" * 24, label="thing", bounding_box=[0.1, 0.1, 0.5, 0.5])
    sample["asks"].detections.append(made)
    sample.save()
    label(boxed)
    found = boxed.first()["ovsam"].detections
    (answer,) = (d.id for d in found if d["prompt_id"] == made.id)
    boxed.delete_labels(ids=[answer], fields=["ovsam"])
    assert label(boxed).kept == 3
    assert boxed.count("ovsam.detections") == 3


def test_every_kind_of_field_tells_its_new_prompts_and_answered_ones_are_none(
    dataset: fo.Dataset,
) -> None:
    since = datetime.now(timezone.utc).replace(microsecond=0)
    old, new, answered, single = (
        ObjectId.from_datetime(since + timedelta(seconds=s)) for s in (0, 60, 61, 62)
    )
    declare_fields(dataset, "ovsam")
    first, second, _ = dataset
    first["ovsam"] = fo.Detections(detections=[fo.Detection(prompt_id=str(answered))])
    first["points"] = fo.Keypoints(
        keypoints=[fo.Keypoint(id=str(i), points=[(0.5, 0.5)]) for i in (old, new, answered)]
    )
    second["ovsam"] = fo.Detections()
    second["box"] = fo.Detection(id=str(single), bounding_box=[0, 0, 1, 1])
    for sample in (first, second):
        sample.save()
    fields = {"point_prompt_field": "points", "box_prompt_field": "box"}
    found = drawn_since(dataset, "ovsam", fields, since)
    assert found == {first.id: [new], second.id: [single]}
    view = asking(dataset.select(list(found)), fields, found)
    points, boxes = view.values(["points.keypoints.id", "box.id"])
    assert (points, boxes) == ([[str(new)], None], [None, str(single)])
    dataset.set_values("ovsam_error", {second.id: "odd"}, key_field="id")
    assert drawn_since(dataset, "ovsam", fields, since) == {first.id: [new]}
    assert drawn_since(dataset, "ovsam", fields, None) == {}
