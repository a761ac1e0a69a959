"""Greedy matching is pycocotools' own, classes aside."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ovsam_plugin.evaluation.mask_iou import iou_matrix
from ovsam_plugin.evaluation.matching import match_greedily
from ovsam_plugin.images.mask_crop import MaskCrop

SIZE = (6, 6)
Rectangle = tuple[int, int, int, int]
SIDE = st.integers(0, 4)
RECTANGLE = st.tuples(SIDE, SIDE, st.integers(1, 4), st.integers(1, 4))


def crop(rectangle: Rectangle) -> MaskCrop:
    x, y, width, height = rectangle
    return MaskCrop.at(np.ones((min(height, 6 - y), min(width, 6 - x)), dtype=bool), x, y)


def reference(
    detections: list[MaskCrop], scores: list[float], truths: list[MaskCrop], crowd: list[bool]
) -> npt.NDArray[np.int64]:
    """The truth that COCOeval gives each detection at IoU 0.5, -1 for none."""
    gt, image = COCO(), {"id": 1, "height": 6, "width": 6}
    annotations = [
        {"id": i + 1, "image_id": 1, "category_id": 1, "iscrowd": int(flag), "area": truth.area,
         "segmentation": truth.rle(SIZE), "bbox": [0, 0, 1, 1]}
        for i, (truth, flag) in enumerate(zip(truths, crowd))
    ]  # fmt: skip
    gt.dataset = {
        "images": [image], "annotations": annotations, "categories": [{"id": 1, "name": "a"}]
    }  # fmt: skip
    rows = [
        {"image_id": 1, "category_id": 1, "score": score, "segmentation": d.rle(SIZE)}
        for d, score in zip(detections, scores)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        gt.createIndex()
        evaluator = COCOeval(gt, gt.loadRes(rows), "segm")
        evaluator.params.useCats = 0
        evaluator.params.iouThrs = np.array([0.5])
        evaluator.params.areaRng, evaluator.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluator.evaluate()
    (found,) = evaluator.evalImgs
    taken = np.full(len(detections), -1, dtype=np.int64)
    taken[np.array(found["dtIds"], dtype=int) - 1] = found["dtMatches"][0].astype(int) - 1
    return taken


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(RECTANGLE, st.sampled_from([0.1, 0.5, 0.9])), min_size=1, max_size=6),
    st.lists(st.tuples(RECTANGLE, st.booleans()), min_size=1, max_size=5),
)
def test_every_detection_takes_the_truth_that_pycocotools_gives_it(
    answers: list[tuple[Rectangle, float]], things: list[tuple[Rectangle, bool]]
) -> None:
    detections, scores = [crop(r) for r, _ in answers], [score for _, score in answers]
    truths, crowd = [crop(r) for r, _ in things], [flag for _, flag in things]
    ious = iou_matrix(detections, truths, crowd)
    matches = match_greedily(ious, np.array(scores), np.array(crowd))
    assert matches.truth_of.tolist() == reference(detections, scores, truths, crowd).tolist()
    for truth, detection in enumerate(matches.detection_of):
        assert detection < 0 or matches.truth_of[detection] == truth


def test_the_surest_chooses_first_and_a_truth_is_taken_once() -> None:
    ious = np.array([[0.6, 0.0], [0.9, 0.55]])
    matches = match_greedily(ious, np.array([0.9, 0.2]), np.zeros(2, dtype=bool))
    assert matches.truth_of.tolist() == [0, 1]
    assert matches.detection_of.tolist() == [0, 1]


def test_an_image_without_truths_matches_nothing() -> None:
    matches = match_greedily(np.zeros((2, 0)), np.array([0.9, 0.2]), np.zeros(0, dtype=bool))
    assert matches.truth_of.tolist() == [-1, -1]
