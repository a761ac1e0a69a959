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
from ovsam_plugin.dataset.fields import relative_box
from ovsam_plugin.evaluation.evaluate import center_points, evaluate_dataset
from ovsam_plugin.evaluation.figures import figures, tables

ROOT = Path(__file__).resolve().parents[2]
SIZE = (300, 451)  # of the cat's photograph


def detection(
    name: str | None, box: tuple[int, int, int, int], size: tuple[int, int], **more: Any
) -> fo.Detection:
    """An ellipse that fills a whole-pixel xyxy box."""
    x1, y1, x2, y2 = box
    rows, columns = np.mgrid[0 : y2 - y1, 0 : x2 - x1] + 0.5
    mask = (rows / (y2 - y1) * 2 - 1) ** 2 + (columns / (x2 - x1) * 2 - 1) ** 2 <= 1
    return fo.Detection(label=name, bounding_box=relative_box(box, size), mask=mask, **more)


@pytest.fixture
def truthful(dataset: fo.Dataset) -> fo.Dataset:
    """Two truths and two answers to them on the cat's photograph, one on the cup's."""
    dataset.compute_metadata(num_workers=1, progress=False)
    cat, cup, _ = dataset
    big, small = (
        detection("cat", (60, 40, 360, 260), SIZE),
        detection("dog", (10, 10, 41, 33), SIZE),
    )
    cat["truth"] = fo.Detections(detections=[big, small])
    cat["said"] = fo.Detections(detections=[
        detection("kitten", (61, 40, 361, 262), SIZE, confidence=0.9, prompt_id=str(big.id)),
        detection("bird", (12, 11, 41, 33), SIZE, confidence=0.4, prompt_id=str(small.id)),
    ])  # fmt: skip
    cat.save()
    size = cup.metadata.height, cup.metadata.width
    cup["truth"] = fo.Detections(detections=[detection("cup", (150, 80, 410, 300), size)])
    cup["said"] = fo.Detections(detections=[])
    cup.save()
    return dataset


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


def test_evaluate_dataset_gives_the_tables_too(truthful: fo.Dataset) -> None:
    found = evaluate_dataset(truthful, "said", "truth", eval_key="e")
    assert truthful.has_evaluation("e")
    (one,) = figures(found.evaluated)
    assert one.splits["all"].accuracy == pytest.approx(1 / 3)
    assert one.splits["all"].iou == pytest.approx(found.results.metrics()["IoU"])
    assert one.ap["AP50"] == pytest.approx(1 / 3)
    assert tables([one])[0].header == ("method", "IoU", "Acc")


def test_nothing_is_written_without_a_key(truthful: fo.Dataset) -> None:
    evaluate_dataset(truthful, "said", "truth")
    assert truthful.list_evaluations() == []
    assert truthful.first()["said"].detections[0].has_attribute("eval") is False


def test_centre_points_pair_by_the_label_that_they_were_made_of(truthful: fo.Dataset) -> None:
    field = center_points(truthful, "truth")
    sample = truthful.first()
    big, small = sample["truth"].detections
    (x, y) = sample[field].keypoints[0].points[0]
    assert (x * SIZE[1], y * SIZE[0]) == (pytest.approx(210, abs=41), pytest.approx(150, abs=1))
    assert [p.id for p in sample[field].keypoints] == [big.id, small.id]


def test_points_go_to_no_field_of_another_kind_and_to_none_that_is_locked(
    truthful: fo.Dataset,
) -> None:
    with pytest.raises(ValueError, match="field 'said' holds Detections, not Keypoints"):
        center_points(truthful, "truth", "said")
    field = center_points(truthful, "truth")
    locked(truthful, field)
    with pytest.raises(ValueError, match=f"field '{field}' is read-only"):
        center_points(truthful, "truth")
    assert truthful.count("said.detections")


Change = Any


def no_metadata(dataset: fo.Dataset) -> None:
    dataset.clear_sample_field("metadata")


def no_askers(dataset: fo.Dataset) -> None:
    dataset.set_values("said.detections.prompt_id", [[None, None], [], None])


def no_masks(dataset: fo.Dataset) -> None:
    dataset.set_values("truth.detections.mask", [[None, None], [None], None])


def no_truth(dataset: fo.Dataset) -> None:
    dataset.clear_sample_field("truth")


def other_size(dataset: fo.Dataset) -> None:
    sample = dataset.first()
    sample["truth"].detections[0].mask = np.ones((28, 28), dtype=bool)
    sample.save()


def unnamed(dataset: fo.Dataset) -> None:
    dataset.set_values("truth.detections.label", [[None, None], [None], None])


def locked(dataset: fo.Dataset, name: str) -> None:
    field = dataset.get_field(name)
    field.read_only = True
    field.save()


def locked_truth(dataset: fo.Dataset) -> None:
    locked(dataset, "truth")


def locked_said(dataset: fo.Dataset) -> None:
    locked(dataset, "said.detections")


def unchanged(dataset: fo.Dataset) -> None:
    pass


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (unchanged, {"pred_field": "truth", "gt_field": "said"}, "fields are swapped"),
        (unchanged, {"pred_field": "sayd"}, "there is no field 'sayd'.*'said'"),
        (unchanged, {"gt_field": "filepath"}, "holds StringField, need Detections"),
        (unchanged, {"protocol": "boxes"}, "unknown protocol 'boxes': there are box"),
        (unchanged, {"split": "coco"}, "there is no split 'coco'"),
        (unchanged, {"vocabulary": "cat, dog"}, "1 of the classes of truth.*'cup'"),
        (unchanged, {"pred_field": "truth"}, "against itself"),
        (no_metadata, {}, "3 of 3 samples have no metadata.*compute_metadata"),
        (no_askers, {}, "no prediction of 'said' was asked for.*box_field='truth'"),
        (no_masks, {}, "no label of 'truth' has a mask"),
        (no_truth, {}, "'truth' holds no labels"),
        (unnamed, {}, "has a class"),
        (locked_truth, {}, "field 'truth' is read-only. To let it be changed"),
        (locked_said, {}, "field 'said.detections' is read-only. To let it be changed"),
        (other_size, {}, "chelsea.png: the mask of label .* is 28 x 28 and its box 300 x 220"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_and_nothing_is_kept(
    truthful: fo.Dataset, change: Change, options: dict[str, Any], message: str
) -> None:
    change(truthful)
    arguments = {"pred_field": "said", "gt_field": "truth", "eval_key": "e", **options}
    with pytest.raises(ValueError, match=message):
        evaluate_dataset(truthful, **arguments)
    assert truthful.list_evaluations() == []
    assert truthful.get_field("e_tp") is None
    assert truthful.get_field("said.detections.e") is None


def test_masks_of_another_size_are_stretched_when_that_is_wanted(truthful: fo.Dataset) -> None:
    other_size(truthful)
    found = evaluate_dataset(truthful, "said", "truth", resize_masks=True)
    assert found.evaluated.methods[0].outcomes.area[0] == 300 * 220


def test_where_the_plugin_is_loaded_the_method_has_a_name(truthful: fo.Dataset) -> None:
    assert OperatorRegistry().list_errors() == []  # loads every plugin
    by_name = truthful.evaluate_detections("said", "truth", method="ovsam")
    by_class = truthful.evaluate_detections("said", "truth", method=OvsamEvaluationConfig)
    assert by_name.metrics() == by_class.metrics()


def test_the_call_is_among_the_packages_own() -> None:
    assert ovsam_plugin.evaluate_dataset is evaluate_dataset


def test_a_turned_photograph_is_evaluated_as_it_is_shown(turned: Path) -> None:
    made = fo.Dataset()
    shown, mask = (451, 300), np.tri(40, 30, dtype=bool)
    box = relative_box((200, 300, 230, 340), shown)
    truth = fo.Detection(label="cat", bounding_box=box, mask=mask)
    said = fo.Detection(
        label="cat", bounding_box=box, mask=mask, confidence=0.5, prompt_id=str(truth.id)
    )
    made.add_sample(
        fo.Sample(
            filepath=str(turned),
            metadata=fo.ImageMetadata(width=451, height=300),  # as FiftyOne has it for most kinds
            truth=fo.Detections(detections=[truth]),
            said=fo.Detections(detections=[said]),
        ),
        dynamic=True,
    )
    evaluated = evaluate_dataset(made, "said", "truth", vocabulary="cat, dog").evaluated
    (method,) = evaluated.methods
    assert method.outcomes.iou.tolist() == [1]
    assert evaluated.truth["images"][0]["height"] == 451
    assert evaluated.truth["annotations"][0]["bbox"] == [200, 300, 30, 40]
    center_points(made, "truth")
    (point,) = made.first()["truth_centers"].keypoints[0].points
    x, y = point[0] * 300 - 200, point[1] * 451 - 300
    assert mask[int(y), int(x)]
    made.delete()
