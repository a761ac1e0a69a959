"""Labels held against their truth in one call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
import pytest

from ovsam_plugin.dataset.fields import relative_box
from ovsam_plugin.evaluation.backend import OvsamEvaluation
from ovsam_plugin.evaluation.evaluate import center_points, evaluate_dataset
from ovsam_plugin.evaluation.figures import figures, tables
from tests.evaluation.conftest import SIZE, locked, other_size


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


def stopped(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def test_an_evaluation_that_fails_leaves_the_earlier_one_of_its_name(
    truthful: fo.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = evaluate_dataset(truthful, "said", "truth", eval_key="e")
    marks = truthful.values("said.detections.e")
    before = truthful.get_evaluation_info("e").timestamp
    other_size(truthful)
    with pytest.raises(ValueError, match="28 x 28"):
        evaluate_dataset(truthful, "said", "truth", eval_key="e")
    monkeypatch.setattr(OvsamEvaluation, "generate_results", stopped)
    with pytest.raises(KeyboardInterrupt):
        evaluate_dataset(truthful, "said", "truth", eval_key="e", resize_masks=True)
    monkeypatch.undo()
    truthful.reload()
    assert truthful.list_evaluations() == ["e"]
    kept = truthful.load_evaluation_results("e", cache=False)
    assert kept.metrics()["IoU"] == first.results.metrics()["IoU"]
    assert truthful.get_evaluation_info("e").timestamp == before
    assert truthful.values("said.detections.e") == marks
    assert not truthful.get_field_schema(flat=True).keys() & {"e_new_tp", "said.detections.e_new"}
    truthful.clone_sample_field("said", "better")
    with pytest.raises(ValueError, match="pred_field"):
        evaluate_dataset(truthful, "better", "truth", eval_key="e", resize_masks=True)
    assert truthful.values("said.detections.e") == marks


def test_an_evaluation_takes_the_place_of_the_earlier_one_of_its_name(
    truthful: fo.Dataset,
) -> None:
    evaluate_dataset(truthful, "said", "truth", eval_key="e")
    earlier = truthful.get_field_schema(flat=True).keys()
    sample = truthful.first()
    sample["said"].detections[0].label = "bird"
    sample.save()
    found = evaluate_dataset(truthful, "said", "truth", eval_key="e")
    assert found.results.key == "e"
    truthful.reload()
    assert truthful.list_evaluations() == ["e"]
    assert truthful.get_field_schema(flat=True).keys() == earlier
    sample.reload()
    assert [label.e for label in sample["said"].detections] == ["fp", "fp"]
    assert (sample.e_tp, sample.e_fp, sample.e_fn) == (0, 2, 2)
    loaded = truthful.load_evaluation_results("e", cache=False)
    assert loaded.metrics()["Acc"] == 0
    assert loaded.ypred.tolist() == ["bird", "bird", "(none)"]


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


def test_masks_of_another_size_are_stretched_when_that_is_wanted(truthful: fo.Dataset) -> None:
    other_size(truthful)
    found = evaluate_dataset(truthful, "said", "truth", resize_masks=True)
    assert found.evaluated.methods[0].outcomes.area[0] == 300 * 220


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


def test_a_photograph_that_is_lost_costs_itself_alone(
    truthful: fo.Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = evaluate_dataset(truthful, "said", "truth").evaluated
    gone = str(tmp_path / "gone.png")
    there = truthful.first()["truth"].copy()
    truthful.add_sample(fo.Sample(filepath=gone, truth=there))
    found = evaluate_dataset(truthful, "said", "truth", eval_key="e").evaluated
    assert found.problems == (
        *whole.problems,
        f"{gone}: neither the image nor its metadata gives a size",
    )
    assert figures(found)[0].splits["all"] == figures(whole)[0].splits["all"]
    center_points(truthful, "truth", "points")
    assert f"{gone}: neither the image" in caplog.text
    assert [sample["points"] is None for sample in truthful] == [False, False, False, True]
    lost = truthful.match(fo.ViewField("filepath") == gone)
    with pytest.raises(ValueError, match=r"nothing could be evaluated: .*gone.png.*gives a size"):
        evaluate_dataset(lost, "said", "truth", protocol="detector", eval_key="none")
    assert truthful.list_evaluations() == ["e"]


def test_sizes_need_no_metadata(truthful: fo.Dataset) -> None:
    whole = evaluate_dataset(truthful, "said", "truth").evaluated
    truthful.set_values("metadata", [None] * len(truthful))
    found = evaluate_dataset(truthful, "said", "truth").evaluated
    assert figures(found)[0].splits["all"].instances == truthful.count("truth.detections")
    assert figures(found)[0].splits["all"] == figures(whole)[0].splits["all"]
