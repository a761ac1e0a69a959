"""The evaluation backend, through FiftyOne's own `evaluate_detections`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
import pytest
from fiftyone.operators.registry import OperatorRegistry
from fiftyone.utils.eval.detection import DetectionResults
from pycocotools import mask as coco_mask

import ovsam_plugin
from ovsam_plugin import OvsamEvaluationConfig
from ovsam_plugin.evaluation.evaluate import evaluate_dataset
from ovsam_plugin.evaluation.metrics import Confusion, confusions, reliability
from tests.evaluation.conftest import SIZE, detection

ROOT = Path(__file__).resolve().parents[2]


def full(label: fo.Detection, size: tuple[int, int] = SIZE) -> dict[str, Any]:
    """A label's mask in run lengths of the whole image."""
    canvas = np.zeros(size, dtype=np.uint8, order="F")
    x, y = round(label.bounding_box[0] * size[1]), round(label.bounding_box[1] * size[0])
    canvas[y : y + label.mask.shape[0], x : x + label.mask.shape[1]] = label.mask
    rle: dict[str, Any] = coco_mask.encode(canvas)
    return rle


def test_labels_carry_their_pair_the_exact_iou_and_right_or_wrong(truthful: fo.Dataset) -> None:
    results = truthful.evaluate_detections(
        "said", "truth", method=OvsamEvaluationConfig, eval_key="e"
    )
    assert type(results) is DetectionResults
    sample = truthful.first()
    for truth, answer in zip(sample["truth"].detections, sample["said"].detections):
        assert (truth.e_id, answer.e_id) == (str(answer.id), str(truth.id))
        exact = coco_mask.iou([full(answer)], [full(truth)], [0])[0, 0]
        assert answer.e_iou == pytest.approx(exact, abs=1e-6)
        assert truth.e_iou == answer.e_iou
    assert [d.e for d in sample["said"].detections] == ["tp", "fp"]  # a kitten is a cat
    assert [d.e for d in sample["truth"].detections] == ["tp", "fn"]
    assert (sample.e_tp, sample.e_fp, sample.e_fn) == (1, 1, 1)
    (cup,) = truthful.skip(1).first()["truth"].detections
    assert (cup.e, cup.e_id, cup.get_attribute_value("e_iou", None)) == ("fn", "", None)


def test_the_papers_figures_are_custom_metrics_that_are_kept(truthful: fo.Dataset) -> None:
    results = truthful.evaluate_detections(
        "said", "truth", method=OvsamEvaluationConfig, eval_key="e", split="coco-48-17"
    )
    figures = results.metrics()
    assert figures["Acc"] == pytest.approx(1 / 3)
    assert figures["Acc_n"] == figures["Acc"]  # cat, dog and cup are novel
    assert "IoU_b" not in figures  # there is no base class
    assert 0.5 < figures["IoU_n"] < 0.7
    loaded = truthful.load_evaluation_results("e", cache=False)
    assert type(loaded) is DetectionResults
    assert loaded.metrics()["IoU_n"] == figures["IoU_n"]
    worse = {m["key"] for m in loaded.custom_metrics.values() if m["lower_is_better"]}
    assert worse == {f"TIDE_{kind}" for kind in ("Cls", "Loc", "Both", "Dupe", "Bkg", "Miss")}
    assert figures["IoU_low"] <= figures["IoU"] <= figures["IoU_high"]
    assert figures["mAP_low"] <= figures["mAP"] <= figures["mAP_high"]
    assert loaded.ytrue.tolist() == ["cat", "dog", "cup"]
    assert loaded.ypred.tolist() == ["cat", "bird", "(none)"]


def test_greedy_pairs_need_overlap_and_no_prompt(truthful: fo.Dataset) -> None:
    for sample in truthful.limit(1):
        for label in sample["said"].detections:
            label.prompt_id = None
        stray = detection("cat", (400, 200, 440, 290), SIZE, confidence=0.95)
        sample["said"].detections.append(stray)
        sample.save()
    truthful.evaluate_detections(
        "said", "truth", method=OvsamEvaluationConfig, eval_key="e", protocol="everything"
    )
    sample = truthful.first()
    assert [d.e for d in sample["said"].detections] == ["tp", "fp", "fp"]
    assert [d.e_id != "" for d in sample["said"].detections] == [True, True, False]
    found = truthful.evaluate_detections(
        "said", "truth", method=OvsamEvaluationConfig, protocol="everything", iou=0.999
    )
    assert found.metrics()["Acc"] == 0


def test_a_crowd_is_not_marked_and_neither_is_what_it_took(truthful: fo.Dataset) -> None:
    sample = truthful.first()
    sample["truth"].detections[0]["iscrowd"] = True
    sample.save()
    truthful.evaluate_detections(
        "said", "truth", method=OvsamEvaluationConfig, eval_key="e", protocol="detector"
    )
    sample = truthful.first()
    assert sample["truth"].detections[0].has_attribute("e") is False
    assert [d.get_attribute_value("e", None) for d in sample["said"].detections] == [None, "fp"]
    assert (sample.e_tp, sample.e_fp, sample.e_fn) == (0, 1, 1)


def test_where_the_plugin_is_loaded_the_method_has_a_name(truthful: fo.Dataset) -> None:
    assert OperatorRegistry().list_errors() == []  # loads every plugin
    by_name = truthful.evaluate_detections("said", "truth", method="ovsam")
    by_class = truthful.evaluate_detections("said", "truth", method=OvsamEvaluationConfig)
    assert by_name.metrics() == by_class.metrics()


def test_the_call_is_among_the_packages_own() -> None:
    assert ovsam_plugin.evaluate_dataset is evaluate_dataset


def test_labels_without_prompts_rank_by_objectness_and_confidence(truthful: fo.Dataset) -> None:
    """The same pairs and scores as those of the folder's evaluation and of exported results."""
    sample = truthful.first()
    big, small = sample["truth"].detections
    box = (60, 40, 360, 260)
    right = detection("cat", box, SIZE, confidence=0.5, objectness=0.9)
    sure = detection("dog", box, SIZE, confidence=0.9, objectness=0.1)
    plain = detection("dog", (10, 10, 41, 33), SIZE, confidence=0.3)
    sample["said"] = fo.Detections(detections=[sure, right, plain])
    sample.save()
    found = evaluate_dataset(truthful, "said", "truth", protocol="everything", eval_key="e")
    (method,) = found.evaluated.methods
    assert [row["score"] for row in method.rows] == pytest.approx([0.09, 0.45, 0.3])
    sample.reload()
    assert [label.e_id for label in sample["said"].detections] == ["", str(big.id), str(small.id)]
    found = evaluate_dataset(truthful, "said", "truth", protocol="detector")
    assert [row["score"] for row in found.evaluated.methods[0].rows] == [0.9, 0.5, 0.3]


def test_a_name_that_the_truth_does_not_have_is_a_wrong_answer(truthful: fo.Dataset) -> None:
    truthful.set_values("truth.detections.label", [["valve", "pump"], ["pump"], None])
    truthful.set_values("said.detections.label", [["valve", "cup"], [], None])
    evaluated = evaluate_dataset(truthful, "said", "truth").evaluated
    (method,) = evaluated.methods
    found = confusions(method.outcomes, evaluated.vocabulary, method.others)
    assert found == [Confusion("pump", "cup", 1)]
    assert reliability(method.outcomes).error == pytest.approx((0.1 + 0.4) / 2)


def test_what_was_evaluated_says_how_and_of_which_samples(truthful: fo.Dataset) -> None:
    twice = truthful.first().copy()
    twice.tags = ["again"]
    truthful.add_sample(twice)
    options: Any = {"protocol": "everything", "iou": 0.9, "slice_by": ["tags"]}
    evaluated = evaluate_dataset(truthful, "said", "truth", **options).evaluated
    assert evaluated.min_iou == 0.9
    assert evaluated.paths[0] == evaluated.paths[3]
    assert evaluated.slices["tags"] == {"again": (3,), "none": (0, 1, 2)}
