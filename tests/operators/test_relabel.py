"""The operators that name and score what is named, through FiftyOne's own executor."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone.operators.executor import ExecutionContext, ExecutionError
from fiftyone.operators.registry import OperatorRegistry

from ovsam_plugin.curation.decisions import accept

RELABEL, RECOGNIZE, SCORE = (
    f"@ovsam/curation/{name}" for name in ("relabel", "recognize", "score")
)
OTHER = {"vocabulary": "names", "names": "tabby cat, coffee, astronaut"}


def form(uri: str, dataset: fo.Dataset, **params: Any) -> dict[str, Any]:
    """The properties of the form that these values lead to."""
    operator = OperatorRegistry().get_operator(uri)
    ctx = ExecutionContext({"dataset_name": dataset.name, "params": params}, operator_uri=uri)
    properties: dict[str, Any] = operator.resolve_input(ctx).to_json()["type"]["properties"]
    return properties


def run(uri: str, dataset: fo.Dataset, **params: Any) -> Any:
    done = foo.execute_operator(uri, {"dataset": dataset, "params": params})
    assert done.error is None, done.error
    return done


@pytest.mark.parametrize("uri", [RELABEL, RECOGNIZE, SCORE])
def test_the_operators_are_there(uri: str) -> None:
    registry = OperatorRegistry()
    assert registry.list_errors() == []
    assert registry.get_operator(uri).config.allow_delegated_execution


def test_a_run_is_relabelled(named: fo.Dataset) -> None:
    done = run(RELABEL, named, into="again", **OTHER)
    assert done.result["instances"] == 9
    labels = named.values("again.detections.label", unwind=True)
    assert set(labels) <= set(OTHER["names"].split(", "))
    requests = done.executor.to_json()["requests"]
    assert "reload_dataset" in [request["operator_uri"] for request in requests]


@pytest.mark.parametrize(
    ("uri", "params", "where"),
    [
        (RELABEL, {"into": "again", **OTHER}, "in the field again"),
        (RECOGNIZE, {"field": "asks", **OTHER}, "in the field asks_named"),
        (SCORE, {"field": "ovsam"}, "with the labels of ovsam"),
    ],
)
def test_a_scheduled_run_says_where_to_look(
    named: fo.Dataset, uri: str, params: dict[str, Any], where: str
) -> None:
    named.persistent = True
    done = foo.execute_operator(uri, {"dataset": named, "params": params}, request_delegation=True)
    assert done.delegated
    (told,) = done.executor.to_json()["requests"]
    assert told["operator_uri"] == "show_output"
    assert where in str(told["params"])


def test_the_form_offers_runs_alone_and_says_what_is_wrong(named: fo.Dataset) -> None:
    shown = form(RELABEL, named, vocabulary="names")
    assert shown["field"]["type"]["values"] == ["ovsam"]
    assert shown["names"]["error_message"] == "give names with commas between them"
    wrong = form(RELABEL, named, into="1", **OTHER)
    assert "cannot be a label field" in wrong["into"]["error_message"]
    assert shown["into"]["view"]["description"] == "empty: named after the run and the names"
    again = form(RELABEL, named, vocabulary="coco")
    assert again["into"]["view"]["description"] == "empty: ovsam_coco"
    there = form(RELABEL, named, into="asks", **OTHER)["into"]["error_message"]
    assert there == (
        "'asks' is there already: choose another field ('asks_2' is free), or tick "
        '"Replace existing labels"'
    )
    source = form(RELABEL, named, into="ovsam", **OTHER)["into"]["error_message"]
    assert "a field of their own, such as 'ovsam_2'" in source


def test_an_empty_menu_says_how_to_fill_it(dataset: fo.Dataset) -> None:
    shown = form(RELABEL, dataset, **OTHER)["field"]
    assert shown["error_message"] == "no labelling run yet: label the photographs first"
    shown = form(RECOGNIZE, dataset, **OTHER)["field"]
    assert shown["error_message"].startswith("no field holds instances: draw boxes or masks")


@pytest.mark.parametrize(("uri", "made"), [(RELABEL, "asks"), (RECOGNIZE, "asks_named")])
def test_replacing_a_person_s_labels_is_asked_with_their_counts(
    named: fo.Dataset, uri: str, made: str
) -> None:
    if made not in named.get_field_schema():
        named.clone_sample_field("asks", made)
    source = {RELABEL: "ovsam", RECOGNIZE: "asks"}[uri]
    settings = {"field": source, "into": made, "overwrite": True, **OTHER}
    asked = form(uri, named, **settings)["overwrite_all"]
    assert asked["view"]["label"].endswith(f"'{made}' 9 that no run of ours made")
    assert asked["invalid"]
    with pytest.raises(ExecutionError, match="9 that no run of ours made: tick the box"):
        foo.execute_operator(uri, {"dataset": named, "params": settings})
    assert named.values(f"{made}.detections.label", unwind=True) == ["thing"] * 9
    run(uri, named, overwrite_all=True, **settings)
    assert "thing" not in named.values(f"{made}.detections.label", unwind=True)


def test_relabelling_again_asks_for_no_further_consent(named: fo.Dataset) -> None:
    run(RELABEL, named, into="again", **OTHER)
    accept(named, "again", named.first()["again"].detections[0].id, by="ada")
    shown = form(RELABEL, named, into="again", overwrite=True, **OTHER)
    assert "overwrite_all" not in shown
    assert run(RELABEL, named, into="again", overwrite=True, **OTHER).result["decided"] == 1
