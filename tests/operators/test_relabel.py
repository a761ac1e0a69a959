"""The operators that name and score what is named, through FiftyOne's own executor."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone.operators.executor import ExecutionError
from fiftyone.operators.registry import OperatorRegistry

from ovsam_plugin.curation.decisions import accept

from .asking import execute, questions, uri

RELABEL, RECOGNIZE, SCORE = "relabel", "recognize", "score"
OTHER = {"vocabulary": "names", "names": "tabby cat, coffee, astronaut"}


@pytest.mark.parametrize("name", [RELABEL, RECOGNIZE, SCORE])
def test_the_operators_are_there(name: str) -> None:
    registry = OperatorRegistry()
    assert registry.list_errors() == []
    assert registry.get_operator(uri(name)).config.allow_delegated_execution


def test_a_run_is_relabelled(named: fo.Dataset) -> None:
    done = execute(RELABEL, named, into="again", **OTHER)
    assert done.result["instances"] == 9
    labels = named.values("again.detections.label", unwind=True)
    assert set(labels) <= set(OTHER["names"].split(", "))
    requests = done.executor.to_json()["requests"]
    assert "reload_dataset" in [request["operator_uri"] for request in requests]


@pytest.mark.parametrize(
    ("name", "params", "where"),
    [
        (RELABEL, {"into": "again", **OTHER}, "in the field again"),
        (RECOGNIZE, {"field": "asks", **OTHER}, "in the field asks_named"),
        (SCORE, {"field": "ovsam"}, "on the labels of ovsam"),
    ],
)
def test_a_scheduled_run_says_where_to_look(
    named: fo.Dataset, name: str, params: dict[str, Any], where: str
) -> None:
    named.persistent = True
    done = foo.execute_operator(
        uri(name), {"dataset": named, "params": params}, request_delegation=True
    )
    assert done.delegated
    (told,) = done.executor.to_json()["requests"]
    assert told["operator_uri"] == "show_output"
    assert where in str(told["params"])


def test_the_form_offers_runs_alone_and_says_what_is_wrong(named: fo.Dataset) -> None:
    shown = questions(RELABEL, named, params={"vocabulary": "names"})
    assert shown["field"]["type"]["values"] == ["ovsam"]
    assert shown["names"]["error_message"] == "enter names separated by commas"
    wrong = questions(RELABEL, named, params={"into": "1", **OTHER})
    assert "cannot be a label field" in wrong["into"]["error_message"]
    assert shown["into"]["view"]["description"] == "if empty: named after the run and the names"
    again = questions(RELABEL, named, params={"vocabulary": "coco"})
    assert again["into"]["view"]["description"] == "if empty: ovsam_coco"
    there = questions(RELABEL, named, params={"into": "asks", **OTHER})["into"]["error_message"]
    assert there == (
        "'asks' already exists: choose another field ('asks_2' is free), or tick "
        '"Replace existing labels"'
    )
    source = questions(RELABEL, named, params={"into": "ovsam", **OTHER})["into"]["error_message"]
    assert "a field of their own, such as 'ovsam_2'" in source


def test_an_empty_menu_says_how_to_fill_it(dataset: fo.Dataset) -> None:
    shown = questions(RELABEL, dataset, params=OTHER)["field"]
    assert shown["error_message"] == "no labelling run yet: label the photographs first"
    shown = questions(RECOGNIZE, dataset, params=OTHER)["field"]
    assert shown["error_message"].startswith("no field holds instances: draw boxes or masks")


@pytest.mark.parametrize(("name", "made"), [(RELABEL, "asks"), (RECOGNIZE, "asks_named")])
def test_replacing_a_person_s_labels_is_asked_with_their_counts(
    named: fo.Dataset, name: str, made: str
) -> None:
    if made not in named.get_field_schema():
        named.clone_sample_field("asks", made)
    source = {RELABEL: "ovsam", RECOGNIZE: "asks"}[name]
    settings = {"field": source, "into": made, "overwrite": True, **OTHER}
    asked = questions(name, named, params=settings)["overwrite_all"]
    assert asked["view"]["label"].endswith(f"'{made}': 9 that no run made")
    assert asked["invalid"]
    with pytest.raises(ExecutionError, match="9 that no run made.*tick .Also replace labels"):
        foo.execute_operator(uri(name), {"dataset": named, "params": settings})
    assert named.values(f"{made}.detections.label", unwind=True) == ["thing"] * 9
    execute(name, named, overwrite_all=True, **settings)
    assert "thing" not in named.values(f"{made}.detections.label", unwind=True)


def test_relabelling_again_asks_for_no_further_consent(named: fo.Dataset) -> None:
    execute(RELABEL, named, into="again", **OTHER)
    accept(named, "again", named.first()["again"].detections[0].id, by="ada")
    shown = questions(RELABEL, named, params={"into": "again", "overwrite": True, **OTHER})
    assert "overwrite_all" not in shown
    assert execute(RELABEL, named, into="again", overwrite=True, **OTHER).result["decided"] == 1
