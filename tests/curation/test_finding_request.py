"""The form that finds instances, read without the App."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import pytest

from ovsam_plugin.curation.finding_request import BY, KINDS, FindingRequest
from ovsam_plugin.curation.views import DOUBTS
from tests.curation.run_by_hand import add_relabelled, add_run, add_truth, evaluate


@pytest.fixture
def run(dataset: fo.Dataset) -> fo.Dataset:
    add_truth(dataset)
    add_run(dataset)
    return dataset


def test_what_nobody_chose_is_the_first_that_there_is(run: fo.Dataset) -> None:
    add_relabelled(run, "ovsam", "again", {"cat": "tiger"})
    evaluate(run)
    assert FindingRequest.from_params({}, run).field == "ovsam"
    assert FindingRequest.from_params({}, run).by == "doubt"
    assert FindingRequest.from_params({"kind": "differing"}, run).other == "again"
    asked = {"kind": "differing", "field": "again"}
    assert FindingRequest.from_params(asked, run).other == "ovsam"
    assert FindingRequest.from_params({"kind": "label_errors"}, run).eval_key == "ovsam_eval"
    chosen = {"by": "margin", "field": "again"}
    request = FindingRequest.from_params(chosen, run)
    assert (request.by, request.field) == ("margin", "again")


def test_only_scores_that_are_there_are_offered(run: fo.Dataset) -> None:
    scores = FindingRequest(field="ovsam").scores(run)
    assert list(scores) == ["doubt", "confidence", "margin", "stability", "unknown"]
    assert scores["margin"] == BY["margin"]
    assert FindingRequest().scores(run) == {}
    assert set(BY) == set(DOUBTS)


def test_without_a_run_or_an_evaluation_the_next_step_is_told(dataset: fo.Dataset) -> None:
    asked = FindingRequest.from_params({}, dataset)
    assert "label the photographs first" in asked.problems(dataset)["field"]
    with pytest.raises(ValueError, match="there is no run yet"):
        asked.view(dataset)
    asked = FindingRequest.from_params({"kind": "label_errors"}, dataset)
    assert "Evaluate Open-Vocabulary SAM" in asked.problems(dataset)["eval_key"]


def test_an_unknown_kind_is_refused_with_those_there_are(run: fo.Dataset) -> None:
    with pytest.raises(
        ValueError, match=f"'odd' is not a choice: choose one of {', '.join(KINDS)}"
    ):
        FindingRequest.from_params({"kind": "odd"}, run).view(run)


def test_instances_come_cut_out_or_in_their_photographs(run: fo.Dataset) -> None:
    for patches, shown in ((True, 3), (False, 3)):
        asked: dict[str, Any] = {"kind": "unknown", "patches": patches}
        view = FindingRequest.from_params(asked, run).view(run)
        assert len(view) == shown
        assert isinstance(view, fo.core.patches.PatchesView) is patches
    # The most surely unknown comes first.
    first = FindingRequest.from_params({"kind": "unknown"}, run).view(run).first()
    assert first["ovsam"].label == "otter"
    decided = {"kind": "not_reviewed", "patches": False}
    assert len(FindingRequest.from_params(decided, run).view(run)) == 3


def test_names_of_two_runs_that_differ_are_found(run: fo.Dataset) -> None:
    add_relabelled(run, "ovsam", "again", {"cat": "tiger"})
    asked = {"kind": "differing", "field": "again"}
    view = FindingRequest.from_params(asked, run).view(run)
    assert view.values("again.label") == ["tiger"] * 3
