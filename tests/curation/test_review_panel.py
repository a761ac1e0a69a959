"""What the panel "Review" asks, without the App."""

from __future__ import annotations

import json

import fiftyone as fo
import pytest
from fiftyone import ViewField as F

from ovsam_plugin.curation import review_panel
from ovsam_plugin.curation.review_panel import act, open_review, picture, together
from ovsam_plugin.dataset.targets import shown_labels
from ovsam_plugin.evaluation.evaluate import evaluate_dataset
from tests.curation.run_by_hand import add_truth

FIELD = "ovsam"


def labels(samples: fo.core.collections.SampleCollection, field: str = FIELD) -> list[str]:
    return sorted(n for n in samples.values(f"{field}.detections.label", unwind=True) if n)


def test_all_that_is_told_can_be_sent_to_a_browser(labelled: fo.Dataset) -> None:
    told = open_review(labelled, {})
    assert json.loads(json.dumps(told)) == told
    told = act(labelled, told["session"], [{"kind": "recount"}], by="ada")
    assert json.loads(json.dumps(told)) == told


def test_patches_of_another_field_cannot_be_reviewed(labelled: fo.Dataset) -> None:
    assert labels(shown_labels(labelled, FIELD)) == labels(labelled)
    patches = labelled.to_patches(FIELD).match(F(f"{FIELD}.label") == "cup")
    assert labels(shown_labels(patches, FIELD)) == ["cup", "cup"]
    with pytest.raises(ValueError, match="shows patches of 'ovsam'"):
        shown_labels(patches, "boxes")


def test_of_patches_of_an_evaluation_the_run_s_labels_are_reviewed(labelled: fo.Dataset) -> None:
    add_truth(labelled)
    evaluate_dataset(
        labelled, FIELD, "truth", protocol="everything", eval_key="e", resize_masks=True
    )
    patches = labelled.to_evaluation_patches("e").limit(1)
    shown = shown_labels(patches, FIELD)
    ids = [i for row in patches.values(f"{FIELD}.detections.id") for i in row or ()]
    assert shown.values(f"{FIELD}.detections.id", unwind=True) == ids


def test_an_action_that_cannot_be_done_is_told_and_leaves_the_session(labelled: fo.Dataset) -> None:
    session = open_review(labelled, {})["session"]
    actions: list[dict[str, object]] = [
        {"kind": "shrink", "labels": []},
        {"kind": "undo"},
        {"kind": "rename", "labels": [], "name": None},
    ]
    answer = act(labelled, session, actions, by="ada")
    told = [problem["message"] for problem in answer["problems"]]
    assert told[:2] == ["'shrink' cannot be done", "There is no decision of yours to undo"]
    assert "name" in told[2]
    assert answer["session"]["waiting"] == session["waiting"]


def test_no_more_of_a_group_is_drawn_than_fits(
    labelled: fo.Dataset, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review_panel, "DRAWN", 1)
    for sample in labelled.iter_samples(autosave=True):
        for label in sample[FIELD].detections:
            label["group"] = 1
    told = together(labelled, FIELD, labelled.first().id, ids["cat"])
    assert told["kind"] == "group"
    assert len(told["members"]) == 5  # what has no name is not decided about
    assert ["picture" in one for one in told["members"]] == [True] + [False] * 4


def test_an_instance_that_is_gone_has_no_picture_and_no_company(labelled: fo.Dataset) -> None:
    gone = labelled.first().id, "0" * 24
    assert picture(labelled, FIELD, *gone) == {}
    with pytest.raises(ValueError, match="no longer there"):
        together(labelled, FIELD, *gone)


def test_a_confidence_that_is_no_number_is_none(labelled: fo.Dataset, ids: dict[str, str]) -> None:
    path = f"{FIELD}.detections.confidence"
    labelled.set_label_values(path, {ids["cat"]: float("nan"), ids["dog"]: float("inf")})
    told = open_review(labelled, {"order": "confidence"})
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    waiting = told["session"]["waiting"]
    assert [one["label"] for one in waiting[:4]] == ["spoon", "cup", "person", "cup"]
    assert {one["label"] for one in waiting if one["confidence"] is None} == {"cat", "dog"}
    assert sum(told["session"]["figures"]["histogram"]) == 4
    answer = act(labelled, told["session"], [{"kind": "accept", "labels": [ids["cat"]]}], by="ada")
    assert answer["problems"] == []
    assert answer["session"]["progress"]["accepted"] == 1
    assert sum(answer["session"]["figures"]["histogram"]) == 4


@pytest.mark.parametrize("active", ["left", "right"])
def test_instances_of_any_slice_are_reviewed(two_slices: fo.Dataset, active: str) -> None:
    two_slices.group_slice = active
    right = two_slices.select_group_slices(["right"])
    patches = right.to_patches(FIELD)
    for samples in (right, patches):
        told = open_review(samples, {"order": "confidence"})
        assert [one["label"] for one in told["session"]["waiting"]] == ["spoon", "cup"]
    first = told["session"]["waiting"][0]
    place = FIELD, first["sample_id"], first["label_id"]
    assert picture(two_slices, *place)["label"] == "spoon"
    answer = act(right, told["session"], [{"kind": "accept", "labels": [first["label_id"]]}])
    assert answer["problems"] == []
    assert [one["label"] for one in answer["session"]["waiting"]] == ["cup"]


def test_the_slice_that_the_grid_shows_is_reviewed(two_slices: fo.Dataset) -> None:
    assert labels(shown_labels(two_slices.view(), FIELD)) == ["cat", "cup", "dog"]
    told = open_review(two_slices.view(), {"order": "confidence"})
    assert [one["label"] for one in told["session"]["waiting"]] == ["dog", "cup", "cat"]


def test_of_a_grid_that_is_grouped_by_a_field_all_is_reviewed(labelled: fo.Dataset) -> None:
    labelled.set_values("place", ["here"] * len(labelled))
    grouped = labelled.group_by("place")
    told = open_review(grouped, {})
    assert told["trouble"] is None
    assert told["session"]["progress"] == open_review(labelled, {})["session"]["progress"]
    first = told["session"]["waiting"][0]
    answer = act(grouped, told["session"], [{"kind": "accept", "labels": [first["label_id"]]}])
    assert answer["session"]["progress"]["accepted"] == 1
