"""The operators that find, name, arrange and remove, through FiftyOne's own executor."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone.core.odm import get_db_conn
from fiftyone.operators.executor import ExecutionContext, ExecutionError
from fiftyone.operators.registry import OperatorRegistry

from ovsam_plugin.curation.scores import score_run
from ovsam_plugin.dataset import runs
from ovsam_plugin.dataset.runs import Settings
from ovsam_plugin.vocabulary import load_vocabulary
from tests.curation.run_by_hand import add_run, add_truth, evaluate

NAMES = ("find_instances", "name_group", "setup_workspace", "remove_run")


def uri(name: str) -> str:
    return f"@ovsam/curation/{name}"


@pytest.fixture
def run(dataset: fo.Dataset) -> fo.Dataset:
    """A run by hand with its scores, and an evaluation of it."""
    add_truth(dataset)
    add_run(dataset)
    evaluate(dataset)
    return dataset


def form(name: str, dataset: fo.Dataset, **params: Any) -> Any:
    operator = OperatorRegistry().get_operator(uri(name))
    ctx = ExecutionContext({"dataset_name": dataset.name, "params": params}, operator_uri=uri(name))
    return operator.resolve_input(ctx)


def execute(operator: str, dataset: fo.Dataset, **params: Any) -> Any:
    done = foo.execute_operator(uri(operator), {"dataset": dataset, "params": params})
    assert done.error is None, done.error
    return done


@pytest.mark.parametrize("name", NAMES)
def test_the_operators_are_there(name: str) -> None:
    registry = OperatorRegistry()
    assert registry.list_errors() == []
    assert registry.operator_exists(uri(name))


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
    requests = [request["operator_uri"] for request in done.executor.to_json()["requests"]]
    assert "set_view" in requests


@pytest.mark.parametrize(
    ("params", "name", "message"),
    [
        ({"kind": "group", "group": "9"}, "group", "there is no group 9: there are 1 to 2"),
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


def test_a_group_has_one_name_at_once(named: fo.Dataset) -> None:
    assert "with Score a run" in str(form("name_group", named).to_json())
    score_run(named, share=1.0, device="cpu")
    execute("name_group", named, group="1", name="thing")
    groups = named.values("ovsam.detections.group", unwind=True)
    labels = named.values("ovsam.detections.label", unwind=True)
    reviews = named.values("ovsam.detections.review", unwind=True)
    assert groups.count(1) >= 2
    for group, label, review in zip(groups, labels, reviews):
        assert (label == "thing") == (group == 1)
        assert (review == "renamed") == (group == 1)


def test_a_workspace_is_made_and_goes_with_its_run(run: fo.Dataset) -> None:
    done = execute("setup_workspace", run, field="ovsam")
    assert done.result["workspace"] == "OVSAM curation"
    run.reload()
    assert run.has_workspace("OVSAM curation")
    shown = form("remove_run", run, field="ovsam")
    assert shown.invalid
    assert "OVSAM curation" in str(shown.to_json())
    with pytest.raises(ExecutionError, match="tick the box to confirm"):
        execute("remove_run", run, field="ovsam")
    assert run.count("ovsam.detections") == 6
    execute("remove_run", run, field="ovsam", confirmed=True)
    run.reload()
    assert run.get_field("ovsam") is None
    assert not run.has_workspace("OVSAM curation")
