"""Labels as a user has them, read as prompts."""

from __future__ import annotations

import pickle

import fiftyone as fo
import numpy as np
import pytest

from ovsam_plugin.dataset.fields import relative_box
from ovsam_plugin.dataset.sample_prompts import read_prompts
from ovsam_plugin.prediction.prompts import Box, Mask, Points

SIZE = (100, 200)


def test_a_detection_asks_with_its_box_in_pixels_and_its_id() -> None:
    detection = fo.Detection(bounding_box=[0.1, 0.2, 0.5, 0.5])
    asked = read_prompts({"box_prompt_field": fo.Detections(detections=[detection])}, SIZE)
    (box,) = asked.prompts
    assert isinstance(box, Box)
    assert box.xyxy == pytest.approx((20, 20, 120, 70))
    assert box.id == str(detection.id)
    assert asked.error is None


def test_a_single_detection_asks_too() -> None:
    asked = read_prompts({"box_prompt_field": fo.Detection(bounding_box=[0, 0, 1, 1])}, SIZE)
    assert [prompt.xyxy for prompt in asked.prompts] == [(0, 0, 200, 100)]


def test_a_box_over_the_edge_is_cut_to_the_image() -> None:
    asked = read_prompts({"box_prompt_field": fo.Detection(bounding_box=[0.5, -1, 9, 9])}, SIZE)
    assert [prompt.xyxy for prompt in asked.prompts] == [(100, 0, 200, 100)]


@pytest.mark.parametrize(
    ("bounding_box", "reason"),
    [
        ([0.1, 0.1, 0.0, 0.2], "empty or inverted"),
        ([0.5, 0.5, -0.2, 0.2], "empty or inverted"),
        ([float("nan"), 0.1, 0.2, 0.2], "not finite"),
        ([1.5, 0.1, 0.2, 0.2], "outside the 200 x 100 image"),
        (None, "bounding_box is [x, y, width, height]"),
        ([0.1, 0.1], "bounding_box is [x, y, width, height]"),
    ],
)
def test_a_bad_box_is_left_out_with_its_reason_and_the_others_stay(
    bounding_box: list[float] | None, reason: str
) -> None:
    good = fo.Detection(bounding_box=[0, 0, 1, 1])
    bad = fo.Detection(bounding_box=bounding_box)
    labels = fo.Detections(detections=[good, bad, good.copy()])
    asked = read_prompts({"box_prompt_field": labels}, SIZE)
    assert len(asked.prompts) == 2
    assert asked.error is not None
    assert reason in asked.error
    assert str(bad.id) in asked.error
    assert asked.error.startswith("1 of 3 prompts left out")


@pytest.mark.parametrize("name", ["point_labels", "sam_labels"])
def test_points_are_positive_unless_they_are_marked(name: str) -> None:
    points = [(0.5, 0.5), (0.25, 0.1)]
    keypoints = [fo.Keypoint(points=points), fo.Keypoint(points=points, **{name: [1, 0]})]
    asked = read_prompts({"point_prompt_field": fo.Keypoints(keypoints=keypoints)}, SIZE)
    plain, marked = asked.prompts
    assert isinstance(plain, Points)
    assert plain.xy == ((100, 50), (50, 10))
    assert plain.labels == (1, 1)
    assert isinstance(marked, Points)
    assert marked.labels == (1, 0)


def test_points_that_are_not_visible_are_left_out() -> None:
    nan = float("nan")
    keypoint = fo.Keypoint(points=[(nan, nan), (0.5, 0.5)], point_labels=[0, 1])
    asked = read_prompts({"point_prompt_field": keypoint}, SIZE)
    assert [(p.xy, p.labels) for p in asked.prompts] == [(((100, 50),), (1,))]


@pytest.mark.parametrize(
    ("keypoint", "reason"),
    [
        (fo.Keypoint(points=[]), "at least one point"),
        (fo.Keypoint(points=[(0.5, 0.5)], point_labels=[0]), "at least one positive"),
        (fo.Keypoint(points=[(0.5, 0.5)], point_labels=[1, 0]), "one per point"),
        (fo.Keypoint(points=[(0.5, 0.5)], point_labels=[2]), "1 (object) or 0"),
        (fo.Keypoint(points=[(0.5, 1.5)]), "outside the 200 x 100 image"),
        (fo.Keypoint(points=[(None, None)]), "two numbers, got [None, None]"),
        (fo.Keypoint(points=[("a", 0.5)]), "two numbers"),
    ],
)
def test_bad_points_are_left_out_with_their_reason(keypoint: fo.Keypoint, reason: str) -> None:
    asked = read_prompts({"point_prompt_field": keypoint}, SIZE)
    assert asked.prompts == ()
    assert asked.error is not None
    assert reason in asked.error


def test_a_mask_asks_on_the_pixels_it_came_from() -> None:
    mask = np.random.default_rng(0).random((30, 41)) > 0.5
    box = relative_box((7, 11, 48, 41), SIZE)
    asked = read_prompts({"mask_prompt_field": fo.Detection(bounding_box=box, mask=mask)}, SIZE)
    (prompt,) = asked.prompts
    assert isinstance(prompt, Mask)
    assert not prompt.refine
    assert np.array_equal(prompt.mask[11:41, 7:48], mask)
    assert prompt.mask.sum() == mask.sum()


def placed(mask: np.ndarray, bounding_box: list[float]) -> np.ndarray:
    label = fo.Detection(bounding_box=bounding_box, mask=mask)
    (prompt,) = read_prompts({"mask_prompt_field": label}, SIZE).prompts
    assert isinstance(prompt, Mask)
    return prompt.mask


def test_a_small_mask_is_stretched_over_its_box() -> None:
    canvas = placed(np.array([[True, False]]), [0.0, 0.0, 1.0, 1.0])
    assert canvas[:, :100].all()
    assert not canvas[:, 100:].any()


def test_a_mask_over_the_edge_is_cut_to_the_image() -> None:
    canvas = placed(np.ones((100, 100), dtype=bool), [0.75, 0.5, 0.5, 1.0])
    assert canvas[50:, 150:].all()
    assert canvas.sum() == 50 * 50
    canvas = placed(np.tri(100, dtype=bool), [-0.25, -0.5, 0.5, 1.0])
    np.testing.assert_array_equal(canvas[:50, :50], np.tri(100, dtype=bool)[50:, 50:])
    assert canvas.sum() == canvas[:50, :50].sum()


@pytest.mark.parametrize(
    ("bounding_box", "reason"),
    [
        ([float("nan"), 0, 1, 1], "not finite"),
        ([0, 0, 1e300, 1], "far outside"),
        (None, "bounding_box is"),
        ([2.5, 0, 1, 1], "at least one pixel"),
    ],
)
def test_a_mask_that_lies_nowhere_is_left_out_with_its_reason(
    bounding_box: list[float] | None, reason: str
) -> None:
    label = fo.Detection(bounding_box=bounding_box, mask=np.ones((2, 2), dtype=bool))
    asked = read_prompts({"mask_prompt_field": label}, SIZE)
    assert asked.prompts == ()
    assert reason in str(asked.error)


def test_a_thousand_masks_of_a_large_photograph_take_little_memory() -> None:
    mask = np.ones((60, 60), dtype=bool)
    labels = [fo.Detection(bounding_box=[0.5, 0.5, 0.015, 0.02], mask=mask) for _ in range(1000)]
    asked = read_prompts({"mask_prompt_field": fo.Detections(detections=labels)}, (3000, 4000))
    assert len(asked.prompts) == 1000
    assert len(pickle.dumps(asked)) < 1_500_000


def test_a_polyline_asks_with_its_inside() -> None:
    square = [(0.25, 0.2), (0.5, 0.2), (0.5, 0.6), (0.25, 0.6)]
    labels = fo.Polylines(polylines=[fo.Polyline(points=[square], closed=True)])
    asked = read_prompts({"mask_prompt_field": labels}, SIZE, refine_masks=True)
    (prompt,) = asked.prompts
    assert isinstance(prompt, Mask)
    assert prompt.refine
    assert prompt.mask[40, 75]
    assert abs(int(prompt.mask.sum()) - 50 * 40) < 100


def test_a_detection_without_a_mask_asks_by_its_box() -> None:
    masked = fo.Detection(bounding_box=[0, 0, 1, 1], mask=np.ones((2, 2)))
    boxed = fo.Detection(bounding_box=[0, 0, 1, 1])
    labels = fo.Detections(detections=[boxed, masked])
    asked = read_prompts({"mask_prompt_field": labels}, SIZE)
    assert [prompt.kind for prompt in asked.prompts] == ["box", "mask"]
    assert [prompt.id for prompt in asked.prompts] == [boxed.id, masked.id]
    assert asked.error is None


def test_mixed_kinds_come_as_boxes_points_masks() -> None:
    labels = {
        "mask_prompt_field": fo.Detection(bounding_box=[0, 0, 1, 1], mask=np.ones((2, 2))),
        "point_prompt_field": fo.Keypoint(points=[(0.5, 0.5)]),
        "box_prompt_field": fo.Detection(bounding_box=[0, 0, 1, 1]),
    }
    asked = read_prompts(labels, SIZE)
    assert [prompt.kind for prompt in asked.prompts] == ["box", "point", "mask"]


def test_no_label_is_no_prompt_and_no_error() -> None:
    labels = {"box_prompt_field": None, "point_prompt_field": fo.Keypoints()}
    asked = read_prompts(labels, SIZE)
    assert asked.prompts == ()
    assert asked.error is None


def test_a_label_of_another_type_is_named() -> None:
    with pytest.raises(TypeError, match="`box_prompt_field` must name a field of Detections"):
        read_prompts({"box_prompt_field": fo.Classification(label="cat")}, SIZE)
