"""The operator `evaluate`, through FiftyOne's own executor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
import pytest
from fiftyone.operators.delegated import DelegatedOperationService
from fiftyone.operators.executor import ExecutionContext, Executor
from fiftyone.operators.registry import OperatorRegistry

from ovsam_plugin import label_dataset
from ovsam_plugin.evaluation.request import EvaluationRequest

from .asking import questions

URI = "@ovsam/curation/evaluate"
PANEL = "@voxel51/panels/model_evaluation_panel_builtin"


@pytest.fixture
def truthful(dataset: fo.Dataset) -> fo.Dataset:
    """One rectangle a photograph, answered rightly but for the last."""
    dataset.compute_metadata(num_workers=1, progress=False)
    for sample, name, said in zip(dataset, ("cat", "cup", "person"), ("cat", "cup", "cat")):
        size = sample.metadata.height, sample.metadata.width
        mask = np.ones((round(0.5 * size[0]), round(0.5 * size[1])), dtype=bool)
        box = [0.25, 0.25, 0.5, 0.5]
        truth = fo.Detection(label=name, bounding_box=box, mask=mask)
        answer = truth.copy()
        answer.label, answer["prompt_id"], answer.confidence = said, truth.id, 0.7
        sample["truth"] = fo.Detections(detections=[truth])
        sample["said"] = fo.Detections(detections=[answer])
        sample.save()
    return dataset


PARAMS = {
    "pred_field": "said",
    "gt_field": "truth",
    "split": "coco-48-17",
    "protocol": "box",
    "resize_masks": True,
}


def form(dataset: fo.Dataset, **params: Any) -> dict[str, Any]:
    return questions("evaluate", dataset, params=params)


def test_another_field_and_parts_of_the_photographs_are_told_in_tables(
    truthful: fo.Dataset,
) -> None:
    for number, sample in enumerate(truthful):
        sample.tags = ["<sun>"] if number else []
        sample["better"] = sample["said"].copy()
        sample["better"].detections[0].label = sample["truth"].detections[0].label
        sample.save()
    params = {**PARAMS, "compare": "better", "slice_by": "tags"}
    found = foo.execute_operator(URI, {"dataset": truthful, "params": params}).result
    assert "**by tags**" in found["tables"]
    assert "| said, \\<sun\\> | 2 | 2 |" in found["tables"]
    assert "| Acc | 66.7 | 100.0 | +33.3 |" in found["tables"]
    assert truthful.list_evaluations() == ["said_eval"]
    properties = form(truthful, **params)
    assert {"compare", "slice_by"} <= set(properties)
    assert not any(p.get("invalid") for p in properties.values())
    wrong = form(truthful, **PARAMS, compare="said")
    assert wrong["compare"]["invalid"]


def test_the_operator_fills_the_model_evaluation_panel(truthful: fo.Dataset) -> None:
    result = foo.execute_operator(URI, {"dataset": truthful, "params": PARAMS})
    assert result.error is None
    assert result.result["Acc_n"] == 1
    assert result.result["Acc_b"] == 0
    assert result.result["instances"] == 3
    requests = [r["operator_uri"] for r in result.executor.to_json()["requests"]]
    assert {"reload_dataset", "open_panel"} <= set(requests)

    truthful.reload()
    results = truthful.load_evaluation_results("said_eval")
    assert results.ypred.tolist() == ["cat", "cup", "cat"]
    view = {"type": "evaluation", "key": "said_eval", "id": "any"}
    request = {
        "panel_id": "p", "__method__": "load_evaluation", "panel_state": {"view": view}
    }  # fmt: skip
    shown = foo.execute_operator(PANEL, {"dataset": truthful, "params": request})
    assert shown.error is None
    data = {}
    for asked in shown.executor.to_json()["requests"]:
        data.update(asked["params"].get("data", {}))
    loaded = data["evaluation_said_eval"]
    shown = {m["label"]: m["value"] for m in loaded["custom_metrics"].values()}
    assert shown["Accuracy of names, novel"] == 1
    # FiftyOne has a row of that name, with another number.
    assert "Accuracy" not in shown
    assert shown["Mask IoU"] == 1
    assert shown["Mask mAP"] == pytest.approx(2 / 3, abs=1e-3)
    assert loaded["metrics"]["accuracy"] == pytest.approx(2 / 3)
    assert {"cat", "cup", "person"} <= set(loaded["confusion_matrix"]["classes"])


def test_a_delegated_run_reports_its_progress(truthful: fo.Dataset) -> None:
    truthful.persistent = True
    foo.execute_operator(
        URI, {"dataset": truthful, "params": {**PARAMS, "eval_key": "later"}},
        request_delegation=True,
    )  # fmt: skip
    service = DelegatedOperationService()
    service.execute_queued_operations(operator=URI, dataset_name=truthful.name)
    truthful.reload()
    assert truthful.list_evaluations() == ["later"]
    (operation,) = service.list_operations(operator=URI, dataset_name=truthful.name)
    assert operation.run_state == "completed"
    assert operation.status.progress == 1


def test_what_the_network_answers_to_true_boxes_is_evaluated(truthful: fo.Dataset) -> None:
    label_dataset(
        truthful.limit(1),
        box_field="truth",
        vocabulary="cat, cup, person",
        workers=0,
        label_field="made",
    )
    operator = foo.get_operator(URI)
    operator(truthful.limit(1), **{**PARAMS, "pred_field": "made", "vocabulary": "coco"})
    (label,) = truthful.first()["made"].detections
    (truth,) = truthful.first()["truth"].detections
    assert label["made_eval_id"] == str(truth.id)
    assert 0 < label["made_eval_iou"] <= 1


def test_the_form_offers_fields_and_names_the_evaluation(truthful: fo.Dataset) -> None:
    shown = form(truthful, pred_field="said", gt_field="truth", protocol="box", resize_masks=True)
    assert shown["pred_field"]["type"]["values"] == ["truth", "said"]
    assert shown["eval_key"]["view"]["description"] == "if empty: said_eval"
    assert not any(prop["invalid"] for prop in shown.values())
    assert "iou" not in shown
    assert "iou" in form(truthful, **{**PARAMS, "protocol": "everything"})


@pytest.mark.parametrize(
    ("params", "name", "message"),
    [
        ({"pred_field": "truth", "gt_field": "said"}, "pred_field", "are swapped"),
        ({"pred_field": "sayd"}, "pred_field", "there is no field 'sayd'"),
        ({"gt_field": "filepath"}, "gt_field", "need Detections"),
        ({"eval_key": "my key"}, "eval_key", "is not a valid name"),
        ({"eval_key": "truth"}, "eval_key", "choose another name"),
        ({"split": "file"}, "split_file", "is needed"),
        ({"split": "file", "split_file": "/nowhere.json"}, "split_file", "there is no split"),
        ({"vocabulary": "names"}, "names", "is needed"),
        ({"vocabulary": "names", "names": "cat, cup"}, "names", "'person'"),
        ({"gt_field": "said"}, "pred_field", "cannot be compared with itself"),
    ],
)
def test_what_is_wrong_is_said_in_the_form(
    truthful: fo.Dataset, params: dict[str, Any], name: str, message: str
) -> None:
    shown = form(truthful, **{**PARAMS, **params})[name]
    assert shown["invalid"]
    assert message in shown["error_message"]


def test_what_is_left_open_comes_from_the_run_s_record(truthful: fo.Dataset) -> None:
    label_dataset(truthful, box_field="truth", vocabulary="coco", workers=0, label_field="made")
    request = EvaluationRequest(pred_field="made", gt_field="truth")
    assert request.protocol_used(truthful) == "box"
    assert request.vocabulary_used(truthful) == "coco"
    assert request.split_used(truthful) == "none"
    assert request.problems(truthful) == {}
    other = EvaluationRequest(pred_field="made", gt_field="said")
    assert other.protocol_used(truthful) == "detector"
    # A truth that COCO has no name for.
    sample = truthful.first()
    sample["truth"].detections[0].label = "gizmo"
    sample.save()
    assert request.vocabulary_used(truthful) is None
    # A truth that tells more apart than COCO does.
    sample["truth"].detections[0].label = "mug"
    sample.save()
    assert request.vocabulary_used(truthful) is None
    found = foo.execute_operator(URI, {"dataset": truthful, "params": PARAMS}).result
    assert found["notes"] == ""
    asked = {**PARAMS, "vocabulary": "coco"}
    found = foo.execute_operator(URI, {"dataset": truthful, "params": asked}).result
    assert found["notes"].startswith("'cup', 'mug' are one class")


def test_without_a_record_nothing_was_asked(truthful: fo.Dataset) -> None:
    request = EvaluationRequest(pred_field="said", gt_field="truth")
    assert request.protocol_used(truthful) == "everything"
    assert request.problems(truthful) == {}


def test_evaluations_are_named_apart_and_count_what_they_leave_out(truthful: fo.Dataset) -> None:
    sample = truthful.last()
    sample["truth"].detections[0].mask = None
    sample.save()
    first = foo.execute_operator(URI, {"dataset": truthful, "params": PARAMS})
    second = foo.execute_operator(URI, {"dataset": truthful, "params": PARAMS})
    assert (first.result["eval_key"], second.result["eval_key"]) == ("said_eval", "said_eval_2")
    truthful.reload()
    assert truthful.list_evaluations() == ["said_eval", "said_eval_2"]
    assert first.result["instances"] == 2
    summary, reason = first.result["left_out"].splitlines()
    assert summary.startswith("1 of 3 ground-truth labels: crowds, ")
    assert summary.endswith("or left out for a reason below")
    assert (
        reason
        == f"ground truth {sample['truth'].detections[0].id} of {sample.filepath} has no mask"
    )
    taken = form(truthful, **PARAMS, eval_key="said_eval")["eval_key"]
    assert "choose another name ('said_eval_3')" in taken["error_message"]


def test_of_many_reasons_a_few_are_told(truthful: fo.Dataset, tmp_path: Path) -> None:
    for number in range(7):
        lost = truthful.first()["truth"].copy()
        truthful.add_sample(fo.Sample(filepath=str(tmp_path / f"{number}.png"), truth=lost))
    done = foo.execute_operator(URI, {"dataset": truthful, "params": PARAMS})
    summary, *reasons, more = done.result["left_out"].splitlines()
    assert summary.startswith("7 of 10 ground-truth labels: ")
    assert [reason.split(": ")[0] for reason in reasons] == [
        str(tmp_path / f"{number}.png") for number in range(5)
    ]
    assert more == "and 2 more"


def test_photographs_without_a_known_size_are_looked_at(truthful: fo.Dataset) -> None:
    truthful.clear_sample_field("metadata")
    done = foo.execute_operator(URI, {"dataset": truthful, "params": PARAMS})
    assert done.result["instances"] == 3
    assert done.result["IoU"] == 1.0


def test_an_error_in_the_app_is_told_in_its_words(truthful: fo.Dataset) -> None:
    sample = truthful.first()
    sample["said"].detections[0].mask = np.ones((3, 3), dtype=bool)
    sample.save()
    operator = OperatorRegistry().get_operator(URI)
    request = {
        "dataset_name": truthful.name,
        "filters": {},
        "params": {**PARAMS, "resize_masks": False},
    }
    ctx = ExecutionContext(request, executor=Executor(), operator_uri=URI)
    *_, told = [message.body.params for message in operator.execute(ctx)]
    assert "chelsea.png" in told["results"]["error"]
    assert "error" in told["outputs"]["type"]["properties"]
    assert truthful.list_evaluations() == []
    empty = operator.resolve_output(ExecutionContext({}, operator_uri=URI)).to_json()
    assert empty["type"]["properties"]
