"""What the panel "Review" asks, through FiftyOne's own executor."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone import ViewField as F
from fiftyone.operators.registry import OperatorRegistry

from ovsam_plugin.curation import review_panel
from ovsam_plugin.curation.decisions import progress

ROOT = Path(__file__).resolve().parents[3]
FIELD = "ovsam"


def call(name: str, view: fo.DatasetView | fo.Dataset, **params: Any) -> dict[str, Any]:
    ctx = {"dataset": view._root_dataset, "view": view.view(), "params": params}
    result = foo.execute_operator(f"@ovsam/curation/review_{name}", ctx)
    assert result.error is None, result.error
    told: dict[str, Any] = result.result
    return told


def act(view: fo.DatasetView, session: dict[str, Any], *actions: dict[str, Any]) -> dict[str, Any]:
    return call("act", view, session=session, actions=list(actions), by="ada")


def reviews(dataset: fo.Dataset) -> list[tuple[str, str, str]]:
    dataset.reload()
    paths = [f"{FIELD}.detections.{name}" for name in ("label", "review", "reviewed_by")]
    return sorted(p for p in zip(*dataset.values(paths, unwind=True)) if p[1])


def waiting(told: dict[str, Any]) -> list[str]:
    return [entry["label"] for entry in told["session"]["waiting"]]


def test_the_panel_is_there_and_brings_no_torch() -> None:
    assert OperatorRegistry().list_errors() == []
    code = "import operators.panels.review, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_a_review_opens_on_what_the_grid_shows(labelled: fo.Dataset) -> None:
    told = call("open", labelled)
    assert (told["fields"], told["field"], told["trouble"]) == ([FIELD], FIELD, None)
    assert waiting(told)[0] == "spoon"
    assert told["session"]["offered"][0] == "confidence"
    assert told["names"][:3] == ["cat", "cup", "dog"]
    cats = labelled.match(F("filepath").ends_with("chelsea.png"))
    assert waiting(call("open", cats)) == ["dog", "cup", "cat"]
    cups = labelled.filter_labels(FIELD, F("label") == "cup")
    told = call("open", cups)
    assert waiting(told) == ["cup", "cup"]
    assert told["session"]["progress"]["open"] == 2
    patches = labelled.to_patches(FIELD).match(F(f"{FIELD}.confidence") > 0.55)
    assert waiting(call("open", patches)) == ["person", "cup", "cat"]


def test_a_review_is_filtered_and_ordered(labelled: fo.Dataset) -> None:
    told = call("open", labelled, order="instability", classes=["cup"], confidence=[0.4, 0.6])
    assert waiting(told) == ["cup"]
    assert told["session"]["order"] == "instability"
    assert waiting(call("open", labelled, order="instability"))[0] == "person"


def test_decisions_are_made_in_their_order(labelled: fo.Dataset, ids: dict[str, str]) -> None:
    session = call("open", labelled)["session"]
    told = act(
        labelled,
        session,
        {"kind": "accept", "labels": [ids["spoon"]]},
        {"kind": "rename", "labels": [ids["dog"]], "name": " tabby "},
        {"kind": "reject", "labels": [ids["cup"]]},
        {"kind": "skip", "labels": [ids["person"]]},
        {"kind": "undo", "labels": []},
    )
    assert told["problems"] == []
    assert reviews(labelled) == [("spoon", "accepted", "ada"), ("tabby", "renamed", "ada")]
    assert waiting(told) == ["cup", "cup", "cat"]
    assert told["session"]["progress"] == {"accepted": 1, "renamed": 1, "rejected": 0, "open": 4}


def test_the_same_decisions_sent_again_change_nothing(
    labelled: fo.Dataset, ids: dict[str, str]
) -> None:
    session = call("open", labelled)["session"]
    actions = [{"kind": "accept", "labels": [ids["spoon"]]}]
    first = act(labelled, session, *actions)
    again = act(labelled, session, *actions)
    assert again["problems"] == []
    assert again["session"]["progress"] == first["session"]["progress"]
    assert waiting(again) == waiting(first)


def test_what_cannot_be_done_is_told_and_the_rest_is_done(
    labelled: fo.Dataset, ids: dict[str, str]
) -> None:
    session = call("open", labelled)["session"]
    told = act(
        labelled,
        session,
        {"kind": "rename", "labels": [ids["spoon"]], "name": "x" * 300},
        {"kind": "undo", "labels": []},
        {"kind": "accept", "labels": ["0" * 24]},
        {"kind": "accept", "labels": [ids["dog"]]},
    )
    messages = [problem["message"] for problem in told["problems"]]
    assert "at most 256" in messages[0]
    assert "no decision of yours" in messages[1]
    assert "not in field" in messages[2]
    assert reviews(labelled) == [("dog", "accepted", "ada")]
    assert waiting(told)[0] == "spoon"


def test_many_are_one_decision(labelled: fo.Dataset, ids: dict[str, str]) -> None:
    session = call("open", labelled)["session"]
    several = [ids["cup"], ids["cup2"], ids["cat"]]
    told = act(labelled, session, {"kind": "rename", "labels": several, "name": "cup"})
    assert reviews(labelled) == [
        ("cup", "accepted", "ada"),
        ("cup", "accepted", "ada"),
        ("cup", "renamed", "ada"),
    ]
    assert told["session"]["progress"]["renamed"] == 1
    told = act(labelled, told["session"], {"kind": "undo", "labels": []})
    assert reviews(labelled) == []
    assert len(waiting(told)) == 6


def test_deleted_labels_are_gone(labelled: fo.Dataset, ids: dict[str, str]) -> None:
    session = call("open", labelled)["session"]
    told = act(labelled, session, {"kind": "delete", "labels": [ids["spoon"]]})
    assert "spoon" not in labelled.values(f"{FIELD}.detections.label", unwind=True)
    assert told["session"]["progress"]["open"] == 5
    assert progress(labelled, FIELD).open == 5
    told = act(labelled, session, {"kind": "delete", "labels": [ids["spoon"]]})
    assert "no longer there" in told["problems"][0]["message"]


def test_an_instance_is_shown_or_gone(labelled: fo.Dataset, ids: dict[str, str]) -> None:
    sample = labelled.first().id
    told = call("picture", labelled, field=FIELD, sample_id=sample, label_id=ids["cat"])
    assert told["picture"].startswith("data:image/jpeg;base64,")
    assert told["top"][0] == ["cat", 0.9]
    labelled.delete_labels(ids=ids["cat"], fields=FIELD)
    assert call("picture", labelled, field=FIELD, sample_id=sample, label_id=ids["cat"]) == {}


def test_those_that_look_alike_come_first(
    named: fo.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review_panel, "DRAWN", 5)
    sample = named.first()
    label = sample[FIELD].detections[0]
    asked = {"field": FIELD, "sample_id": sample.id, "label_id": label.id}
    told = call("together", named, **asked)
    assert told["kind"] == "alike"
    members = told["members"]
    assert len(members) == 5
    assert label.id not in [one["label_id"] for one in members]
    assert all(one["picture"].startswith("data:") for one in members)
    # The same photograph's other instances look more alike than those of the others.
    assert members[0]["sample_id"] == sample.id
    assert [one["chosen"] for one in members] == [one["label"] == label.label for one in members]
    alone = call("together", named.select(sample.id), **asked)
    assert len(alone["members"]) == 2
    gone = call("together", named, **{**asked, "label_id": "0" * 24})
    assert "no longer there" in gone["problem"]


def test_all_of_a_group_are_one_decision(labelled: fo.Dataset, ids: dict[str, str]) -> None:
    for sample in labelled.iter_samples(autosave=True):
        for label in sample[FIELD].detections:
            label["group"] = 1 if label.label in ("cup", "spoon") else None
    sample_id = labelled.match_labels(ids=ids["spoon"]).first().id
    asked = {"field": FIELD, "sample_id": sample_id, "label_id": ids["spoon"]}
    told = call("together", labelled, **asked)
    assert told["kind"] == "group"
    assert {one["label_id"] for one in told["members"]} == {ids["cup"], ids["cup2"]}
    assert all(one["chosen"] for one in told["members"])


def test_without_embeddings_the_reason_is_told(labelled: fo.Dataset, ids: dict[str, str]) -> None:
    sample_id = labelled.first().id
    asked = {"field": FIELD, "sample_id": sample_id, "label_id": ids["cat"]}
    assert "no labelling run filled" in call("together", labelled, **asked)["problem"]


def test_a_dataset_that_cannot_be_reviewed_says_what_to_do(dataset: fo.Dataset) -> None:
    told = call("open", dataset)
    assert told["session"] is None
    assert "run Label first" in told["trouble"]


def test_a_field_without_scores_leaves_the_choice_of_another(labelled: fo.Dataset) -> None:
    labelled.add_sample_field("boxes", fo.EmbeddedDocumentField, embedded_doc_type=fo.Detections)
    told = call("open", labelled, field="boxes")
    assert "has a score to sort by" in told["trouble"]
    assert told["fields"] == [FIELD, "boxes"]
    told = call("open", labelled.to_patches(FIELD), field="boxes")
    assert "shows patches of 'ovsam'" in told["trouble"]
