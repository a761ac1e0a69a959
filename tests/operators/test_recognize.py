"""The operator `recognize`, through FiftyOne's own executor."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
from fiftyone.operators.executor import ExecutionContext
from fiftyone.operators.registry import OperatorRegistry

from ovsam_plugin.curation.requests import NamingRequest

from . import asking
from .asking import execute

RECOGNIZE = "@ovsam/curation/recognize"
OTHER = {"vocabulary": "names", "names": "tabby cat, coffee, astronaut"}


def form(dataset: fo.Dataset, **params: Any) -> dict[str, Any]:
    shown = asking.form("recognize", dataset, **params).to_json()
    properties: dict[str, Any] = shown["type"]["properties"]
    return properties


def test_a_field_of_others_is_not_named_over_without_a_word(named: fo.Dataset) -> None:
    named.clone_sample_field("asks", "asks_named")
    told = form(named, field="asks", **OTHER)["into"]["error_message"]
    assert "'asks_named' holds labels of 3 photographs, made by something other" in told
    assert "'asks_named_2' is free), or tick \"Replace existing labels\"" in told
    replacing = NamingRequest.read({"field": "asks", "overwrite": True, **OTHER})
    told = replacing.problems(named.limit(1))["into"]
    assert "2 of them outside what is labelled here" in told
    assert "tick" not in told


def test_instances_from_elsewhere_are_named_and_filled_in(named: fo.Dataset) -> None:
    for sample in named:
        sample["asks"].detections[0].label = None
        sample.save()
    done = execute("recognize", named, field="asks", fill=True, **OTHER)
    assert (done.result["field"], done.result["instances"], done.result["filled"]) == (
        "asks_named",
        9,
        3,
    )
    assert named.first()["asks"].detections[0].label in OTHER["names"]
    shown = form(named, **OTHER)
    assert shown["field"]["error_message"].startswith("choose the field")


def test_of_a_grid_of_patches_those_instances_are_named(named: fo.Dataset) -> None:
    patches = named.to_patches("asks").limit(4)
    params = {"field": "asks", **OTHER}
    done = foo.execute_operator(RECOGNIZE, {"view": patches, "params": params})
    assert done.error is None, done.error
    assert done.result["instances"] == 4
    asked = named.values("asks_named.detections.prompt_id", unwind=True)
    assert sorted(asked) == sorted(map(str, patches.values("asks.id")))
    operator = OperatorRegistry().get_operator(RECOGNIZE)
    request = {"dataset_name": named.name, "view": patches._serialize(), "params": OTHER}
    shown = operator.resolve_input(ExecutionContext(request, operator_uri=RECOGNIZE)).to_json()
    properties = shown["type"]["properties"]
    assert properties["field"]["type"]["values"] == ["asks"]
    assert properties["field"]["default"] == "asks"
    assert not properties["field"].get("error_message")


def test_only_another_namer_is_asked_how_it_is_shown_an_instance(named: fo.Dataset) -> None:
    assert "cuts" not in form(named, field="asks")
    shown = form(named, field="asks", namer="openclip:no such model", cuts="0.1:2")
    assert "cuts" in shown
    assert shown["namer"]["invalid"]


def test_the_field_of_the_names_is_told_before(named: fo.Dataset) -> None:
    told = form(named)["into"]["view"]["description"]
    assert told == r"if empty: the field and \_named"
    told = form(named, field="asks")["into"]["view"]["description"]
    assert told == "if empty: asks_named"
