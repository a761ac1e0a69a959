"""Segmentations as tools write them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask

from ovsam_plugin.annotations.masks import deepest_point, mask_of, plain_segmentation

SIZE = (8, 10)
SQUARE = np.zeros(SIZE, dtype=bool)
SQUARE[2:7, 2:7] = True
POLYGON = [2, 2, 7, 2, 7, 7, 2, 7]
PAIRS = [[2, 2], [7, 2], [7, 7], [2, 7]]
COUNTS = [18, 5, 3, 5, 3, 5, 3, 5, 3, 5, 25]
PACKED = coco_mask.frPyObjects({"size": list(SIZE), "counts": COUNTS}, *SIZE)["counts"]


@pytest.mark.parametrize(
    "segmentation",
    [
        [POLYGON],
        POLYGON,
        [PAIRS],
        PAIRS,
        [list(map(str, POLYGON))],
        [list(map(float, POLYGON)), [1, 1]],
        [[*POLYGON[:4], 7, 7], [2, 2, 7, 7, 2, 7]],
        {"size": [8, 10], "counts": COUNTS},
        {"size": ["8", 10.0], "counts": list(map(float, COUNTS))},
        {"size": [8, 10], "counts": PACKED},
        {"size": [8, 10], "counts": PACKED.decode()},
        {"counts": PACKED.decode()},
        {"size": None, "counts": COUNTS},
        [{"size": [8, 10], "counts": COUNTS}],
        [{"size": [8, 10], "counts": COUNTS}, {"size": [8, 10], "counts": [80]}],
        [{"size": [8, 10], "counts": [80]}, POLYGON],
    ],
)
def test_every_way_to_write_a_mask_is_read(segmentation: Any) -> None:
    assert coco_mask.decode({"size": list(SIZE), "counts": PACKED}).astype(bool).sum() == 25
    np.testing.assert_array_equal(mask_of(segmentation, SIZE), SQUARE)


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        (None, "missing or empty"),
        ([], "missing or empty"),
        ({}, "counts"),
        ("2 2 7 2 7 7", "missing or empty"),
        (7, "missing or empty"),
        ([[2, 2, 7, 2, 7]], "odd number"),
        ([[2, 2, 7, 2]], "three points"),
        ([[2, 2], [7, 2]], "three points"),
        ([[2, 2, 7, 2, float("nan"), 7]], "not a finite number"),
        ([[2, 2, 7, 2, float("inf"), 7]], "not a finite number"),
        ([[2, 2, 7, 2, "x", 7]], "not a finite number"),
        ([[2, 2, 7, 2, None, 7]], "not a finite number"),
        ([POLYGON, 4], "list of numbers"),
        ({"size": [8, 10]}, "counts"),
        ({"size": [8], "counts": COUNTS}, "size"),
        ({"size": "8x10", "counts": COUNTS}, "size"),
        ({"size": [10, 8], "counts": COUNTS}, "the image is 10 x 8"),
        ({"size": [8, 10], "counts": COUNTS[:-1]}, "add up"),
        ({"size": [8, 10], "counts": [-1, 81]}, "add up"),
        ({"size": [8, 10], "counts": [1.5, 78.5]}, "whole number"),
        ({"size": [8, 10], "counts": "~~~"}, "cannot be read"),
    ],
)
def test_a_mask_that_cannot_be_says_why(segmentation: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        mask_of(segmentation, SIZE)


def test_polygons_without_a_size_say_what_they_lack() -> None:
    with pytest.raises(ValueError, match="needs the image's width and height"):
        mask_of([POLYGON], None)
    assert mask_of({"size": [8, 10], "counts": COUNTS}, None).shape == SIZE


def test_plain_polygons_stay_as_they_are() -> None:
    assert plain_segmentation([POLYGON]) == [list(map(float, POLYGON))]


@settings(max_examples=200, deadline=None)
@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_no_pixel_lies_deeper_than_the_one_chosen(mask: np.ndarray) -> None:
    if not mask.any():
        with pytest.raises(ValueError, match="no pixel"):
            deepest_point(mask)
        return
    padded = np.pad(mask, 1)
    outside = np.argwhere(~padded)
    depth = {
        (int(row) - 1, int(column) - 1): int(((outside - (row, column)) ** 2).sum(axis=1).min())
        for row, column in np.argwhere(padded)
    }
    deepest = max(depth.values())
    x, y = deepest_point(mask)
    assert (y - 0.5, x - 0.5) == min(place for place, d in depth.items() if d == deepest)


def test_the_image_border_counts_as_outside() -> None:
    mask = np.zeros((9, 20), dtype=bool)
    mask[:, :5] = True
    assert deepest_point(mask) == (2.5, 2.5)
