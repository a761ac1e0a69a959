"""The operator `label`, through FiftyOne's own executor."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone.operators.delegated import DelegatedOperationService
from fiftyone.operators.executor import (
    ExecutionContext,
    Executor,
)
from fiftyone.operators.registry import OperatorRegistry

from ovsam_plugin.dataset import runs
from ovsam_plugin.dataset.zoo_source import MODELS, SAM_MODELS

from .asking import form as asked_form

ROOT = Path(__file__).resolve().parents[2]
URI = "@ovsam/curation/label"
SMALL = {"vocabulary": "names", "names": "cat, cup, person, spoon"}


def form(dataset: fo.Dataset, **params: Any) -> dict[str, Any]:
    """The properties of the form that these values lead to."""
    properties: dict[str, Any] = asked_form("label", dataset, **params).to_json()["type"][
        "properties"
    ]
    return properties


def test_the_plugin_loads_without_errors_and_lists_the_operator() -> None:
    registry = OperatorRegistry()
    assert registry.list_errors() == []
    assert registry.operator_exists(URI)
    config = registry.get_operator(URI).config
    assert config.risk_level.value == "medium"
    assert config.allow_delegated_execution


def test_replacing_a_person_s_labels_is_asked_with_their_counts(boxed: fo.Dataset) -> None:
    target = {"field": "asks", "overwrite": True, **SMALL}
    assert "overwrite_all" not in form(boxed, field="free", overwrite=True, **SMALL)
    assert "overwrite_all" not in form(boxed, field="asks", **SMALL)
    asked = form(boxed, **target)["overwrite_all"]
    assert asked["view"]["label"] == "Also replace labels in 'asks': 3 that no run made"
    assert asked["error_message"] == (
        "field 'asks' holds labels that are replaced only on request (3 that no run made): use "
        'another field, or tick "Also replace labels"'
    )
    agreed = form(boxed, overwrite_all=True, **target)["overwrite_all"]
    assert not agreed["invalid"]


def test_a_run_that_begins_while_another_makes_its_field_joins_it(
    boxed: fo.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As two workers of one queue do, each with a run of the same settings."""
    declared, register = threading.Event(), runs.register

    def late(*args: Any) -> None:
        declared.set()
        time.sleep(1)
        register(*args)

    monkeypatch.setattr(runs, "register", late)
    params = {**SMALL, "prompts": "box", "prompt_field": "asks"}
    done: list[Any] = []
    parts = [boxed[:2].view(), boxed[1:].view()]

    def label(part: Any) -> None:
        context = {"view": part, "params": {**params, "view_target": "CURRENT_VIEW"}}
        done.append(foo.execute_operator(URI, context))

    first = threading.Thread(target=label, args=(parts[0],))
    first.start()
    assert declared.wait(60)
    label(parts[1])
    first.join()
    assert [(one.error, one.result["field"]) for one in done] == [(None, "ovsam")] * 2
    assert sum(one.result["labelled"] for one in done) == len(boxed)


def test_the_plugin_is_loaded_without_torch() -> None:
    program = (
        "import sys; from fiftyone.operators.registry import OperatorRegistry; "
        f"assert OperatorRegistry().operator_exists({URI!r}); "
        "assert 'ovsam_plugin' in sys.modules; "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120
    )
    assert done.stdout.split()[-1:] == ["False"], done.stdout + done.stderr


def test_the_operator_labels_what_the_boxes_ask(boxed: fo.Dataset) -> None:
    params = {**SMALL, "prompts": "box", "prompt_field": "asks", "field": "mine"}
    result = foo.execute_operator(URI, {"dataset": boxed, "params": params})
    assert result.error is None
    assert result.result["labelled"] == 3
    assert result.result["instances"] == 3
    assert boxed.count("mine.detections") == 3
    requests = result.executor.to_json()["requests"]
    assert "reload_dataset" in [request["operator_uri"] for request in requests]


def test_a_delegated_run_reports_its_progress_and_its_result(boxed: fo.Dataset) -> None:
    boxed.persistent = True
    params = {**SMALL, "prompts": "box", "prompt_field": "asks", "field": "later"}
    foo.execute_operator(URI, {"dataset": boxed, "params": params}, request_delegation=True)
    assert boxed.get_field("later") is None
    service = DelegatedOperationService()
    service.execute_queued_operations(operator=URI, dataset_name=boxed.name)
    boxed.reload()
    assert boxed.count("later.detections") == 3
    (operation,) = service.list_operations(operator=URI, dataset_name=boxed.name)
    assert operation.run_state == "completed"
    assert operation.result.result["labelled"] == 3
    assert operation.status.progress == 1
    assert operation.status.label == "3 of 3 photographs"


def test_only_the_selected_samples_are_labelled(boxed: fo.Dataset) -> None:
    params = {**SMALL, "prompts": "box", "prompt_field": "asks", "view_target": "SELECTED_SAMPLES"}
    chosen = boxed.last().id
    foo.execute_operator(URI, {"dataset": boxed, "selected": [chosen], "params": params})
    assert boxed.exists("ovsam").values("id") == [chosen]


def test_the_operator_can_be_called_from_a_notebook(boxed: fo.Dataset) -> None:
    operator = foo.get_operator(URI)
    operator(boxed.limit(1), **SMALL, prompts="box", prompt_field="asks", field="called")
    assert len(boxed.exists("called")) == 1


def test_the_form_asks_only_for_what_the_choices_need(boxed: fo.Dataset) -> None:
    shown = form(boxed)
    assert {"preset", "vocabulary", "prompts", "field", "overwrite"} <= set(shown)
    assert not {"names", "file", "class_field", "prompt_field", "find"} & set(shown)
    assert not any(prop["invalid"] for prop in shown.values())
    asked = form(boxed, vocabulary="field", prompts="box")
    assert asked["prompt_field"]["type"]["values"] == ["asks"]
    assert asked["class_field"]["type"]["values"] == ["asks"]
    assert "find" in form(boxed, prompts="find")
    assert not {"weights", "tiles", "all_candidates"} & set(shown)
    more = form(boxed, advanced=True)
    assert {"weights", "tiles", "all_candidates"} <= set(more)


def test_choices_say_what_they_give(boxed: fo.Dataset) -> None:
    shown = form(boxed, vocabulary="names")
    models = shown["preset"]["view"]["choices"]
    assert {choice["value"] for choice in models} == {*MODELS, *SAM_MODELS}
    assert all(choice["description"] for choice in models)
    assert "teapot" in form(boxed)["vocabulary"]["view"]["description"]
    assert shown["names"]["error_message"]


def test_a_menu_without_a_field_says_how_to_have_one(boxed: fo.Dataset) -> None:
    told = form(boxed, prompts="point")["prompt_field"]["error_message"]
    assert told.startswith("no field holds points: draw keypoints")


def test_masks_of_sam_need_its_checkpoint(boxed: fo.Dataset, tmp_path: Path) -> None:
    told = form(boxed, preset="sam-clip")["weights"]["error_message"]
    assert told.startswith(
        "this model draws its masks with a segment_anything checkpoint: enter its path"
    )
    (tmp_path / "sam_vit_b.pth").write_bytes(b"read when it runs")
    given = form(boxed, preset="sam-clip", weights=str(tmp_path / "sam_vit_b.pth"))
    assert not any(prop["invalid"] for prop in given.values())


def test_weights_that_nobody_may_fetch_are_told_at_the_model(boxed: fo.Dataset) -> None:
    told = form(boxed, preset="ovsam-rn50x16-lvis")["preset"]["error_message"]
    assert "ovsam weights fetch ovsam-rn50x16-lvis" in told


def test_the_app_is_told_how_far_it_is_and_what_came_out(boxed: fo.Dataset) -> None:
    operator = OperatorRegistry().get_operator(URI)
    params = {**SMALL, "prompts": "box", "prompt_field": "asks"}
    request = {"dataset_name": boxed.name, "filters": {}, "params": params}
    ctx = ExecutionContext(request, executor=Executor(), operator_uri=URI)
    told = [message.body for message in operator.execute(ctx)]
    names = [body.operator_uri for body in told]
    assert names[-3:] == ["reload_dataset", "set_color_scheme", "set_active_fields"]
    assert set(names[:-3]) == {"show_output"}
    results = told[-4].params["results"]
    assert (results["field"], results["labelled"], results["instances"]) == ("ovsam", 3, 3)
    assert told[-1].params == {"fields": ["ovsam"]}
    assert told[-2].params["color_by"] == "value"
    assert boxed.count("ovsam.detections") == 3


@pytest.mark.parametrize(
    ("params", "name", "message"),
    [
        ({"field": "asks x"}, "field", "cannot be a label field"),
        ({"field": "filepath"}, "field", "not Detections"),
        ({"weights": "/nowhere/own.safetensors"}, "weights", "no file /nowhere/own.safetensors"),
        ({"prompts": "box", "prompt_field": "asking"}, "prompt_field", "there is no field"),
        ({"prompts": "box"}, "prompt_field", "choose the prompt field"),
        ({"prompts": "find", "find": " "}, "find", "enter the words"),
        ({"vocabulary": "names", "names": "cat, , cat"}, "names", ""),
        ({"vocabulary": "file", "file": "/nowhere/names.txt"}, "file", "/nowhere/names.txt"),
        ({"vocabulary": "field", "class_field": "asks"}, "class_field", None),
    ],
)
def test_what_is_wrong_is_said_in_the_form(
    boxed: fo.Dataset, params: dict[str, Any], name: str, message: str | None
) -> None:
    shown = form(boxed, **params)[name]
    assert shown["invalid"] is (message is not None)
    if message is not None:
        assert message in shown["error_message"]


def test_a_wrong_form_that_is_executed_all_the_same_is_an_error(boxed: fo.Dataset) -> None:
    params = {**SMALL, "prompts": "box", "prompt_field": "nothing"}
    with pytest.raises(foo.executor.ExecutionError, match="there is no field 'nothing'"):
        foo.execute_operator(URI, {"dataset": boxed, "params": params})


def test_a_field_that_cannot_be_written_is_not_also_said_to_be_done(boxed: fo.Dataset) -> None:
    shown = form(boxed, field="asks", **SMALL)["field"]
    assert "made by something other than this plugin" in shown["error_message"]
    assert not shown["view"].get("description")


def test_limits_that_nothing_passes_are_told_with_the_outcome(boxed: fo.Dataset) -> None:
    operator = OperatorRegistry().get_operator(URI)

    def outcome(**params: Any) -> dict[str, Any]:
        done = foo.execute_operator(URI, {"dataset": boxed, "params": {**SMALL, **params}})
        told = ExecutionContext({"results": done.result}, operator_uri=URI)
        shown: dict[str, Any] = operator.resolve_output(told).to_json()["type"]["properties"]
        return shown

    asked = {"prompts": "box", "prompt_field": "asks"}
    assert "nothing" not in outcome(**asked)
    none = outcome(**asked, min_confidence=1.0, field="none")
    assert "label again with lower ones" in none["nothing"]["view"]["label"]
