"""Work that a worker does later."""

from __future__ import annotations

import asyncio

import fiftyone as fo
import pytest
from fiftyone.operators.delegated import DelegatedOperationService
from fiftyone.operators.executor import ExecutionContext, execute_or_delegate_operator
from fiftyone.operators.registry import OperatorRegistry

from operators.scheduling import is_taken_over, take_over

from .asking import context, form, uri

URI = uri("label")
SMALL = {"vocabulary": "names", "names": "cat, cup, person, spoon"}


def test_a_run_scheduled_in_the_app_says_where_to_look(
    boxed: fo.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxed.persistent = True
    monkeypatch.setattr(fo.config, "allow_legacy_orchestrators", True)
    params = {**SMALL, "prompts": "box", "prompt_field": "asks"}
    request = {
        "dataset_name": boxed.name, "filters": {}, "params": params, "request_delegation": True
    }  # fmt: skip
    done = asyncio.run(execute_or_delegate_operator(URI, request))
    (told,) = [message.body for message in done.result]
    assert told.operator_uri == "show_output"
    assert "`fiftyone delegated list` shows" in str(told.params)
    assert "the labels are in the field ovsam" in str(told.params)
    assert boxed.get_field("ovsam") is None
    service = DelegatedOperationService()
    service.execute_queued_operations(operator=URI, dataset_name=boxed.name)
    boxed.reload()
    assert boxed.count("ovsam.detections") == 3


def test_background_runs_are_offered_where_they_work_alone(
    boxed: fo.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = OperatorRegistry().get_operator(URI)
    ctx = ExecutionContext({"dataset_name": boxed.name, "params": {}}, operator_uri=URI)
    monkeypatch.setattr(fo.config, "allow_legacy_orchestrators", False)
    assert not operator.resolve_execution_options(ctx).allow_delegated_execution
    background = form("label", boxed).to_json()["type"]["properties"]["background"]
    assert "FIFTYONE_ALLOW_LEGACY_ORCHESTRATORS" in str(background)
    monkeypatch.setattr(fo.config, "allow_legacy_orchestrators", True)
    assert operator.resolve_execution_options(ctx).allow_delegated_execution
    assert "FIFTYONE_ALLOW_LEGACY_ORCHESTRATORS" not in str(form("label", boxed).to_json())


def test_only_the_app_s_own_request_is_taken_over(boxed: fo.Dataset) -> None:
    for request, taken in (
        ({"filters": {}, "request_delegation": True}, True),
        ({"filters": {}}, False),
        ({"request_delegation": True}, False),  # a notebook
    ):
        ctx = context("label", boxed, **request)
        take_over(ctx)
        assert is_taken_over(ctx) is taken
        assert bool(ctx.requesting_delegated_execution) is (
            "request_delegation" in request and not taken
        )
