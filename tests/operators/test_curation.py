"""The operators that find, name, arrange and remove, through FiftyOne's own executor."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone.operators.executor import ExecutionContext, ExecutionError
from fiftyone.operators.registry import OperatorRegistry

from ovsam_plugin.curation.scores import score_run
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
        ({"kind": "group", "group": 1}, 2),
        ({"kind": "doubtful", "by": "doubt", "percent": 20.0}, 1),
        ({"kind": "not_reviewed"}, 5),
        ({"kind": "label_errors", "eval_key": "ovsam_eval"}, 4),
    ],
)
def test_each_kind_sets_the_view_to_its_instances(
    run: fo.Dataset, params: dict[str, Any], found: int
) -> None:
    done = execute("find_instances", run, **params)
    assert done.result["found"] == found
    requests = [request["operator_uri"] for request in done.executor.to_json()["requests"]]
    assert "set_view" in requests


def test_what_cannot_be_found_is_said_in_the_form(run: fo.Dataset) -> None:
    shown = form("find_instances", run, kind="group", group=9)
    assert shown.invalid
    assert "there is no group 9 of unknown instances: there are 1 to 2" in shown.error_message


def test_a_group_has_one_name_at_once(named: fo.Dataset) -> None:
    assert form("name_group", named).invalid
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
