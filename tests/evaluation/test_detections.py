"""A detector's boxes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ovsam_plugin.evaluation.detections import read_detections
from ovsam_plugin.evaluation.ground_truth import read_ground_truth
from tests.evaluation.conftest import Annotate, evaluate


def test_detected_boxes_ask_and_are_matched_by_overlap(
    images: list[Path], annotate: Annotate, tmp_path: Path
) -> None:
    path = annotate()
    rows = [
        {"image_id": 1, "category_id": 1, "bbox": [62, 42, 300, 220], "score": 0.9},
        {"image_id": 1, "category_id": 17, "bbox": [200, 10, 20, 20], "score": 0.3},
        {"image_id": 2, "category_id": 47, "bbox": [150, 80, 260, 220], "score": 0.8},
        {"image_id": 3, "category_id": 1, "bbox": [900, 10, 20, 20], "score": 0.8},
    ]
    (tmp_path / "dets.json").write_text(json.dumps(rows))
    detections = read_detections(tmp_path / "dets.json", read_ground_truth(path))
    evaluated = evaluate(path, images, "detector", detections=detections)
    (result,) = evaluated.methods
    assert result.surplus == 1
    assert result.outcomes.answer.tolist() == [0, -1, 0, -1, -1, -1]
    assert 0.9 < result.outcomes.iou[0] < 1
    assert result.outcomes.iou.tolist()[1:] == [0, 1, 0, 0, 0]
    assert [row["category_id"] for row in result.detector_rows] == [3, 1, 2]
    assert [row["score"] for row in result.detector_rows] == [0.9, 0.3, 0.8]
    assert any("lies outside" in problem for problem in evaluated.problems)


def test_a_result_that_is_none_costs_no_other(annotate: Annotate, tmp_path: Path) -> None:
    """Such as those of our own export whose prompt was refused."""
    good = {"image_id": 1, "category_id": 17, "bbox": [62, 42, 300, 220], "score": 0.9}
    rows = [
        {**good, "bbox": [0, 0, 0, 0], "score": 0.0, "category_id": None, "error": "refused"},
        {**good, "bbox": [1, 2, 3]},
        {**good, "bbox": None},
        {**good, "score": "high"},
        {**good, "score": float("nan")},
        {**good, "image_id": "1", "category_id": "17", "score": "0.5"},
        {**good, "score": None},
    ]
    (tmp_path / "dets.json").write_text(json.dumps(rows))
    found = read_detections(tmp_path / "dets.json", read_ground_truth(annotate()))
    assert [(d.category, d.score) for d in found.boxes[1]] == [(0, 0.5), (0, 1.0)]
    assert [p.split(" of ")[0] for p in found.problems] == [f"result {i}" for i in range(5)]
    assert "refused" in found.problems[0]
    (tmp_path / "dets.json").write_text(json.dumps(rows[:5]))
    with pytest.raises(ValueError, match="no result .*refused"):
        read_detections(tmp_path / "dets.json", read_ground_truth(annotate()))
