"""The operator `decide`, through FiftyOne's own executor."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone.operators.executor import ExecutionContext, ExecutionError
from fiftyone.operators.registry import OperatorRegistry

from ovsam_plugin.curation.decisions import Progress, progress

URI = "@ovsam/curation/decide"
FIELD = "ovsam"


def run(dataset: fo.Dataset, label_ids: list[str], **params: Any) -> Any:
    selected = [{"label_id": i, "sample_id": "", "field": FIELD} for i in label_ids]
    return foo.execute_operator(
        URI, {"dataset": dataset, "selected_labels": selected, "params": params}
    )


def form(dataset: fo.Dataset, label_ids: list[str], **params: Any) -> dict[str, Any]:
    selected = [{"label_id": i, "sample_id": "", "field": FIELD} for i in label_ids]
    request = {"dataset_name": dataset.name, "params": params, "selected_labels": selected}
    operator = OperatorRegistry().get_operator(URI)
    ctx = ExecutionContext(request, operator_uri=URI)
    properties: dict[str, Any] = operator.resolve_input(ctx).to_json()["type"]["properties"]
    return properties


def test_selected_labels_are_decided_together(labelled: fo.Dataset, ids: dict[str, str]) -> None:
    chosen = [ids["cat"], ids["cup2"]]
    result = run(labelled, chosen, decision="rename", name="thing")
    assert (result.error, result.result) == (None, {"changed": 2})
    requests = {r["operator_uri"] for r in result.executor.to_json()["requests"]}
    assert {"reload_dataset", "clear_selected_labels"} <= requests
    assert progress(labelled, FIELD) == Progress(renamed=2, open=4)
    assert run(labelled, chosen, decision="reopen").result == {"changed": 2}
    run(labelled, [ids["cat"]], decision="accept")
    run(labelled, [ids["dog"]], decision="reject")
    assert progress(labelled, FIELD) == Progress(accepted=1, rejected=1, open=4)


def test_the_form_counts_what_is_selected_and_offers_names(
    labelled: fo.Dataset, ids: dict[str, str]
) -> None:
    shown = form(labelled, [ids["cat"], ids["dog"]], decision="rename")
    assert "Selected: 2 of ovsam" in str(shown["selected"])
    assert [c["value"] for c in shown["name"]["view"]["choices"]] == [
        "cat",
        "cup",
        "dog",
        "person",
        "spoon",
    ]
    assert "name" not in form(labelled, [ids["cat"]])


def test_nothing_selected_is_said_in_the_form_and_refused(labelled: fo.Dataset) -> None:
    shown = form(labelled, [])
    assert shown["selection_problem"]["error_message"].startswith("Select labels first")
    with pytest.raises(ExecutionError, match="Select labels first"):
        run(labelled, [], decision="accept")


def test_it_can_be_called_from_a_notebook(labelled: fo.Dataset, ids: dict[str, str]) -> None:
    operator = foo.get_operator(URI)
    operator(labelled, FIELD, [ids["cat"]], "rename", name="lynx")
    assert "lynx" in labelled.distinct(f"{FIELD}.detections.label")
    with pytest.raises(ExecutionError, match="decision. Reason: Invalid enum value"):
        operator(labelled, FIELD, [ids["cat"]], "delete")
