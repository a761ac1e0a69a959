"""The operator `find_instances`, through FiftyOne's own executor."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import pytest
from fiftyone.core.odm import get_db_conn

from ovsam_plugin.dataset import runs
from ovsam_plugin.dataset.runs import Settings
from ovsam_plugin.vocabulary import load_vocabulary
from tests.curation.run_by_hand import add_run, add_truth, evaluate

from .asking import asked_of_app, execute, form


@pytest.fixture
def run(dataset: fo.Dataset) -> fo.Dataset:
    """A run by hand with its scores, and an evaluation of it."""
    add_truth(dataset)
    add_run(dataset)
    evaluate(dataset)
    return dataset


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"kind": "rare_lvis"}, 1),
        ({"kind": "novel"}, 3),
        ({"kind": "rare", "fewer_than": 2}, 2),
        ({"kind": "tail", "percent": 40.0}, 2),
        ({"kind": "unknown"}, 3),
        ({"kind": "group", "group": "1"}, 2),
        ({"kind": "doubtful", "by": "doubt", "percent": 20.0}, 1),
        ({"kind": "not_reviewed"}, 5),
        ({"kind": "label_errors", "eval_key": "ovsam_eval", "min_score": 0.0}, 4),
    ],
)
def test_each_kind_sets_the_view_to_its_instances(
    run: fo.Dataset, params: dict[str, Any], found: int
) -> None:
    done = execute("find_instances", run, **params)
    assert done.result["found"] == found
    assert done.result["told"].startswith(f"{found} instance")
    asked = asked_of_app(done)
    assert list(asked) == ["set_view", "open_panel"]
    assert (asked["open_panel"]["name"], asked["open_panel"]["isActive"]) == ("Samples", True)


@pytest.mark.parametrize(
    ("params", "name", "message"),
    [
        (
            {"kind": "group", "group": "9"},
            "group",
            "of unknown instances: choose one of 1, 2",
        ),
        ({"kind": "doubtful", "percent": 0.0}, "percent", "above 0"),
        ({"kind": "differing"}, "other", "with Relabel over another vocabulary"),
        ({"kind": "label_errors", "min_score": 1.0}, "min_score", "below 1"),
    ],
)
def test_what_cannot_be_found_is_said_at_its_question(
    run: fo.Dataset, params: dict[str, Any], name: str, message: str
) -> None:
    shown = form("find_instances", run, **params).to_json()["type"]["properties"]
    assert shown[name]["invalid"]
    assert message in shown[name]["error_message"]
    assert not any(p["invalid"] for n, p in shown.items() if n != name)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("unknown", "with Score a run"),
        ("novel", "label or relabel with COCO or LVIS"),
        ("rare_lvis", "label or relabel with LVIS"),
        ("label_errors", "with Evaluate Open-Vocabulary SAM"),
    ],
)
def test_an_empty_choice_says_how_to_fill_it(labelled: fo.Dataset, kind: str, message: str) -> None:
    register(labelled)
    shown = str(form("find_instances", labelled, kind=kind).to_json())
    assert message in shown
    assert "score_run(" not in shown


def register(dataset: fo.Dataset) -> None:
    """As a run whose vocabulary has neither a split nor groups."""
    vocabulary = load_vocabulary("cat, cup")
    runs.register(dataset, "ovsam", Settings("ovsam-lite", "0", "names", "0"), vocabulary)


def test_the_scores_that_a_run_has_are_those_it_can_be_doubted_by(labelled: fo.Dataset) -> None:
    register(labelled)
    shown = form("find_instances", labelled).to_json()["type"]["properties"]["by"]
    offered = [choice["value"] for choice in shown["view"]["choices"]]
    assert offered == ["confidence", "margin", "stability"]
    assert shown["default"] == "confidence"


def test_a_form_looks_for_nothing(run: fo.Dataset) -> None:
    before = _collections()
    for kind in ("doubtful", "not_reviewed", "unknown", "label_errors"):
        form("find_instances", run, kind=kind)
    assert _collections() == before


def _collections() -> int:
    """How many collections there are: patches are made into one of their own."""
    return len(get_db_conn().list_collection_names())


def test_instances_of_all_slices_are_found(two_slices: fo.Dataset) -> None:
    found = execute("find_instances", two_slices, kind="not_reviewed", field="ovsam")
    assert found.result["found"] == 5
    whole = execute("find_instances", two_slices, kind="not_reviewed", patches=False)
    assert whole.result["found"] == 2
