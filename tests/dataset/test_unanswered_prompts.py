"""Prompts that are drawn on photographs after these were labelled."""

from __future__ import annotations

import time
from typing import Any

import fiftyone as fo
import numpy as np
import pytest
from fiftyone import ViewField as F

from ovsam_plugin import LabelSummary, label_dataset
from ovsam_plugin.curation.decisions import rename
from ovsam_plugin.dataset import embedding_index
from ovsam_plugin.dataset.edits import edited
from ovsam_plugin.dataset.fields import declare_fields
from ovsam_plugin.dataset.unanswered_prompts import asking, prompt_key, unanswered
from ovsam_plugin.dataset.writing import FreshLabels, put_labels

SETTINGS: dict[str, Any] = {
    "vocabulary": "cat, cup, person, spoon",
    "box_field": "asks",
    "device": "cpu",
    "workers": 0,
    "progress": False,
}


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


def test_prompts_that_were_made_before_and_attached_after_a_call_are_answered(
    boxed: fo.Dataset,
) -> None:
    made = [fo.Detection(bounding_box=[0.1, 0.1, 0.5, 0.5]) for _ in range(2)]
    time.sleep(1.1)  # an id tells the second that it was made in
    label(boxed)
    sample = boxed.first()
    sample["asks"].detections.extend(made)
    sample.save()
    summary = label(boxed)
    assert (summary.labelled, summary.kept, summary.instances) == (1, 2, 2)
    assert {d["prompt_id"] for d in boxed.first()["ovsam"].detections} >= {d.id for d in made}
    assert label(boxed).labelled == 0


def test_prompts_that_a_view_hid_are_answered_by_the_next_call(boxed: fo.Dataset) -> None:
    for sample in boxed.iter_samples(autosave=True):
        hidden = fo.Detection(label="hidden", bounding_box=[0.1, 0.1, 0.5, 0.5])
        sample["asks"].detections.append(hidden)
    label_dataset(boxed.filter_labels("asks", F("label") == "thing"), **SETTINGS)
    before = label_ids(boxed)
    assert boxed.count("ovsam.detections") == 3
    assert label(boxed).instances == 3
    assert [(row or [])[:1] for row in label_ids(boxed)] == before
    assert len(embedding_index.load(boxed, "ovsam")) == 6


def test_a_prompt_that_was_moved_is_answered_anew_and_a_decided_answer_stays(
    boxed: fo.Dataset,
) -> None:
    label(boxed)
    first, second, third = boxed
    old = [label_id for row in label_ids(boxed) for label_id in row or ()]
    rename(boxed, "ovsam", old[1], "lynx")
    for sample in (first, second):
        sample["asks"].detections[0].bounding_box = [0.05, 0.05, 0.5, 0.5]
        sample.save()
    assert label(boxed).labelled == 2
    after = label_ids(boxed)
    assert [len(row or ()) for row in after] == [1, 2, 1]
    assert (after[0] or [""])[0] != old[0]
    assert ((after[1] or [""])[0], after[2]) == (old[1], [old[2]])
    assert label(boxed).labelled == 0
    assert set(embedding_index.load(boxed, "ovsam").label_ids) == {
        i for r in after for i in r or ()
    }


@pytest.mark.parametrize("asks", ["boxes", "nothing"])
def test_a_photograph_with_a_person_s_label_alone_is_labelled_once(
    boxed: fo.Dataset, asks: str
) -> None:
    """As where somebody clicks in the Segment panel before the run has come to it."""
    settings = SETTINGS if asks == "boxes" else {**SETTINGS, "box_field": None, "grid": 4}
    first, second, third = boxed.values("id")
    label_dataset(boxed.select([first, third]), **settings)
    mine = fo.Detection(label="mine", bounding_box=[0, 0, 1, 1], prompt_type="point", review="a")
    for sample_id in (second, third):
        put_labels(
            boxed, "ovsam", [FreshLabels(sample_id, fo.Detections(detections=[mine]))], adds=True
        )
    sample = boxed[second]
    whole, sample.filepath = sample.filepath, "gone.png"
    sample.save()
    assert label_dataset(boxed, **settings).failed == 1
    sample.filepath = whole
    sample.save()
    before = boxed.values("ovsam.detections.id")
    summary = label_dataset(boxed, **settings)
    assert (summary.labelled, summary.kept, summary.failed) == (1, 2, 0)
    after = boxed.values("ovsam.detections.id")
    assert (after[0], after[2]) == (before[0], before[2])
    assert after[1][0] == mine.id
    assert len(after[1]) > 1
    assert label_dataset(boxed, **settings).kept == 3


def test_a_field_of_prompts_that_was_renamed_goes_on_asking(boxed: fo.Dataset) -> None:
    label(boxed)
    before = label_ids(boxed)
    boxed.rename_sample_field("asks", "boxes")
    sample = boxed.first()
    sample["boxes"].detections.append(fo.Detection(bounding_box=[0.1, 0.1, 0.5, 0.5]))
    sample.save()
    renamed = {**SETTINGS, "box_field": "boxes"}
    assert label_dataset(boxed, **renamed).instances == 1
    assert [(row or [])[:1] for row in label_ids(boxed)] == before
    assert label_dataset(boxed, **renamed).labelled == 0
    boxed.clone_sample_field("boxes", "others")
    with pytest.raises(ValueError, match="made with other settings"):
        label_dataset(boxed, **{**SETTINGS, "box_field": "others"})


def test_a_dataset_that_an_earlier_version_labelled_goes_on(boxed: fo.Dataset) -> None:
    label(boxed)
    first, second, _ = boxed
    boxed.delete_labels(ids=[first["ovsam"].detections[0].id], fields=["ovsam"])
    boxed._sample_collection.update_many({}, {"$unset": {"ovsam.asked": True}})
    assert label(boxed).labelled == 0  # what was deleted stays so
    asked = [row["ovsam"]["asked"] for row in boxed._sample_collection.find()]
    assert [len(some) for some in asked] == [1, 1, 1]
    late = fo.Detection(id="0" * 24, bounding_box=[0.1, 0.1, 0.5, 0.5])
    second.reload()
    second["asks"].detections.append(late)
    second.save()
    assert label(boxed).instances == 1


@pytest.mark.parametrize("kind", ["point", "box", "mask", "polyline"])
def test_every_kind_of_prompt_is_known_again_where_it_lies(dataset: fo.Dataset, kind: str) -> None:
    square = np.ones((4, 4), dtype=bool)
    made, moved = {
        "point": [fo.Keypoint(points=[(x, 0.5), (0.1, float("nan"))]) for x in (0.5, 0.4)],
        "box": [fo.Detection(bounding_box=[x, 0, 0.5, 0.5]) for x in (0.5, 0.4)],
        "mask": [
            fo.Detection(bounding_box=[0, 0, 0.5, 0.5], mask=mask)
            for mask in (square, np.triu(square))
        ],
        "polyline": [fo.Polyline(points=[[(0, 0), (x, 0), (0, 1)]]) for x in (0.5, 0.4)],
    }[kind]
    key = f"{'mask' if kind == 'polyline' else kind}_prompt_field"
    declare_fields(dataset, "ovsam")
    first, second, _ = dataset
    lists = {"point": fo.Keypoints, "polyline": fo.Polylines}
    name = {"point": "keypoints", "polyline": "polylines"}.get(kind, "detections")
    first["many"] = lists.get(kind, fo.Detections)(**{name: [made]})
    first.save()
    dataset.set_values("ovsam", {first.id: fo.Detections()}, key_field="id")
    fields, ids = {key: "many"}, dataset.values("id")

    def new() -> dict[str, dict[str, int]]:
        return unanswered(dataset, dataset, "ovsam", fields, ids, None)

    assert new() == {}  # of an earlier version, without a record: taken as asked
    moved.id = made.id
    first["many"] = lists.get(kind, fo.Detections)(**{name: [moved]})
    first.save()
    found = new()
    assert list(found) == [first.id]
    assert list(found[first.id]) == [prompt_key(key, made.id)]
    view = asking(dataset, fields, found)
    assert view.values(f"many.{name}.id") == [[made.id]]


def test_one_label_that_asks_as_box_and_as_mask_is_two_prompts(boxed: fo.Dataset) -> None:
    for asked in boxed:
        asked["drawn"] = asked["asks"].copy()
        for one, box in zip(asked["drawn"].detections, asked["asks"].detections):
            one.id, one.mask = box.id, np.ones((20, 20), bool)
        asked.save()
    settings = {**SETTINGS, "mask_field": "drawn"}
    assert label_dataset(boxed, **settings).instances == 6
    sample = boxed.first()
    before = {d["prompt_type"]: d.id for d in sample["ovsam"].detections}
    sample["asks"].detections[0].bounding_box = [0.05, 0.05, 0.5, 0.5]
    sample.save()
    assert label_dataset(boxed, **settings).labelled == 1
    boxed.reload()
    after = {d["prompt_type"]: d.id for d in boxed.first()["ovsam"].detections}
    assert after.keys() == {"box", "mask"}
    assert (after["mask"], after["box"] != before["box"]) == (before["mask"], True)
    assert label_dataset(boxed, **settings).labelled == 0


def test_a_field_of_prompts_that_goes_meanwhile_is_told(boxed: fo.Dataset) -> None:
    def drop(_: Any) -> None:
        if boxed.has_field("asks"):
            boxed.delete_sample_field("asks")

    boxed.add_samples([fo.Sample(filepath=path) for path in boxed.values("filepath") * 4])
    with pytest.raises(ValueError, match="field 'asks', which asks, has been deleted"):
        label_dataset(boxed, **{**SETTINGS, "batch_size": 1, "progress": drop})


def test_the_reason_of_a_refused_prompt_goes_with_it(boxed: fo.Dataset) -> None:
    first, second, _ = boxed
    wrong = [fo.Detection(bounding_box=[3, 3, 0.1, 0.1]) for _ in range(2)]
    first["asks"].detections += wrong
    second["asks"].detections = [fo.Detection(bounding_box=[2, 2, 0.1, 0.1])]
    for sample in (first, second):
        sample.save()
    assert label(boxed).failed == 2
    boxed.delete_labels(ids=[wrong[0].id], fields=["asks"])
    assert label(boxed).labelled == 0
    boxed.reload()
    told = boxed.values("ovsam_error")
    assert told[0].startswith(f"1 of 2 prompts left out: {wrong[1].id}")
    assert told[1].startswith("1 of 1 prompts left out")
    hidden = boxed.filter_labels("asks", F("label") == "thing")
    assert label_dataset(hidden, **SETTINGS).labelled == 0  # what a view hides is not gone
    boxed.reload()
    assert boxed.values("ovsam_error") == told
    boxed.delete_labels(ids=[wrong[1].id], fields=["asks"])
    label(boxed)
    boxed.reload()
    assert boxed.values("ovsam_error")[0] is None
    assert len(boxed.exists("ovsam_error")) == 1
