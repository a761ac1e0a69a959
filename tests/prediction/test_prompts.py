from __future__ import annotations

import math

import numpy as np
import pytest

from ovsam_plugin.images.mask_crop import MaskCrop
from ovsam_plugin.prediction.prompts import Box, Grid, Mask, Points


@pytest.mark.parametrize(
    ("xyxy", "reason"),
    [
        ((5, 5, 5, 9), "empty or inverted"),
        ((9, 5, 5, 9), "empty or inverted"),
        ((0, 0, math.nan, 9), "not finite"),
        ((0, 0, math.inf, 9), "not finite"),
        ((0, 0, 9), "got 3 numbers"),
    ],
)
def test_a_bad_box_is_refused_with_its_reason(xyxy: tuple[float, ...], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Box(xyxy)  # type: ignore[arg-type]


def test_a_box_is_cut_to_the_image_and_keeps_its_id() -> None:
    assert Box((-5, 3, 30, 90), id="a").on_image(20, 40) == Box((0, 3, 20, 40), id="a")


def test_a_box_outside_the_image_is_refused() -> None:
    with pytest.raises(ValueError, match="outside the 20 x 40 image"):
        Box((25, 3, 30, 9)).on_image(20, 40)


def test_points_without_labels_are_all_positive() -> None:
    assert Points(((1, 2), (3, 4))).labels == (1, 1)


@pytest.mark.parametrize(
    ("xy", "labels", "reason"),
    [
        ((), (), "at least one point"),
        (((1, 2),), (1, 0), "1 points with 2 labels"),
        (((1, 2),), (2,), "labels are 1"),
        (((1, 2),), (0,), "at least one positive"),
        (((1, math.nan),), (1,), "not finite"),
    ],
)
def test_bad_points_are_refused_with_their_reason(
    xy: tuple[tuple[float, float], ...], labels: tuple[int, ...], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        Points(xy, labels)


def test_a_point_off_the_image_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(50, 5\) lies outside"):
        Points(((5, 5), (50, 5)), (1, 0)).on_image(20, 40)


def test_a_mask_needs_two_axes_and_a_pixel() -> None:
    with pytest.raises(ValueError, match="shape"):
        Mask(np.ones((2, 3, 1), dtype=bool))
    with pytest.raises(ValueError, match="at least one pixel"):
        Mask(np.zeros((2, 3), dtype=bool))


def test_a_mask_of_another_size_than_the_image_is_refused() -> None:
    with pytest.raises(ValueError, match="mask is 3 x 2, the image is 30 x 20"):
        Mask(np.ones((2, 3), dtype=bool)).on_image(30, 20)


def test_the_grid_is_square_on_any_image_and_inside_it() -> None:
    points = Grid(8).points(width=400, height=200)
    assert len(points) == 8 * 4
    xs, ys = zip(*(p.xy[0] for p in points))
    assert (min(xs), max(xs), min(ys), max(ys)) == (25, 375, 25, 175)


def test_the_grid_of_a_sliver_still_has_points() -> None:
    assert len(Grid(16).points(width=1000, height=1)) == 16


def test_a_grid_needs_a_point() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Grid(0)


def test_a_mask_is_kept_as_its_crop_and_given_whole() -> None:
    whole = np.zeros((40, 30), dtype=bool)
    whole[5:9, 10:20] = True
    for mask in (Mask(whole, id="a"), Mask(MaskCrop.at(whole), id="a", size=(40, 30))):
        assert mask.crop.box == (10, 5, 20, 9)
        assert mask.size == (40, 30)
        assert (mask.refine, mask.id) == (False, "a")
        np.testing.assert_array_equal(mask.mask, whole)
        assert mask.on_image(30, 40) is mask


def test_a_crop_of_a_mask_needs_the_size_of_its_image() -> None:
    with pytest.raises(ValueError, match="needs its image's size"):
        Mask(MaskCrop.at(np.ones((2, 3), dtype=bool)))
    with pytest.raises(ValueError, match="does not lie on the 4 x 4 image"):
        Mask(MaskCrop.at(np.ones((2, 3), dtype=bool), 2, 0), size=(4, 4))
