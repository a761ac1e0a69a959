"""Masks cut to their boxes, held against whole images and the field's libraries."""

from __future__ import annotations

import math
import pickle

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask

from ovsam_plugin.images.mask_crop import NOTHING, MaskCrop, crop_mask

Masks = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(lambda s: arrays(bool, s))
Corner = st.tuples(st.integers(-20, 20), st.integers(-20, 20))
SIZE = (13, 17)


@given(Masks)
def test_a_crop_put_back_in_its_box_is_the_mask(mask: np.ndarray) -> None:
    (x1, y1, x2, y2), crop = crop_mask(mask)
    back = np.zeros_like(mask)
    back[y1:y2, x1:x2] = crop
    np.testing.assert_array_equal(back, mask)
    if mask.any():
        assert crop[0].any()
        assert crop[-1].any()
        assert crop[:, 0].any()
        assert crop[:, -1].any()


@given(Masks, st.integers(0, 5), st.integers(0, 5))
def test_a_mask_is_packed_placed_and_read_as_it_was(mask: np.ndarray, x: int, y: int) -> None:
    packed = MaskCrop.pack(mask, x, y)
    assert packed.mask.dtype == bool
    np.testing.assert_array_equal(packed.mask, mask)
    assert packed.area == mask.sum()
    whole = np.zeros((20, 20), dtype=bool)
    whole[y : y + mask.shape[0], x : x + mask.shape[1]] = mask
    for crop in (packed, MaskCrop.at(mask, x, y), pickle.loads(pickle.dumps(packed))):
        np.testing.assert_array_equal(crop.on((20, 20)), whole)
        decoded = coco_mask.decode(crop.rle((20, 20)))
        np.testing.assert_array_equal(decoded, whole)


def test_a_mask_takes_an_eighth_of_a_byte_a_pixel_of_its_own_box() -> None:
    whole = np.zeros((3000, 4000), dtype=bool)
    whole[100:160, 200:300] = True
    crop = MaskCrop.at(whole)
    assert crop.box == (200, 100, 300, 160)
    assert crop.bits.nbytes == 60 * 100 / 8


@given(Masks, Corner, Corner)
def test_a_mask_is_stretched_by_nearest_pixels_and_cut_at_the_edge(
    mask: np.ndarray, corner: tuple[int, int], sides: tuple[int, int]
) -> None:
    (x, y), width, height = corner, abs(sides[0]) + 1, abs(sides[1]) + 1
    crop = MaskCrop.over_box(mask, (x, y, x + width, y + height), SIZE)
    expected = np.zeros(SIZE, dtype=bool)
    for row in range(max(y, 0), min(y + height, SIZE[0])):
        for column in range(max(x, 0), min(x + width, SIZE[1])):
            source = (row - y) * mask.shape[0] // height, (column - x) * mask.shape[1] // width
            expected[row, column] = mask[source]
    np.testing.assert_array_equal(crop.on(SIZE), expected)


@pytest.mark.parametrize("box", [(5, 5, 5, 9), (9, 9, 4, 4), (40, 0, 50, 9), (0, -9, 5, 0)])
def test_what_lies_on_no_pixel_of_the_image_is_an_empty_mask(box: tuple[int, ...]) -> None:
    assert MaskCrop.over_box(np.ones((3, 3), dtype=bool), box, SIZE).area == 0  # type: ignore[arg-type]
    assert MaskCrop.over_box(np.zeros((0, 0), dtype=bool), (0, 0, 5, 5), SIZE).area == 0


def test_a_mask_stretched_over_a_huge_box_costs_what_is_seen_of_it() -> None:
    far = 10**9
    crop = MaskCrop.over_box(np.array([[1, 0], [1, 1]], bool), (-far, -far, far, far), (100, 80))
    assert crop.area == 100 * 80


@pytest.mark.parametrize("box", [(8.5, 2.0, 20.2, 10.0), (0, 0, 30, 20), (6, 4, 24, 16)])
def test_a_mask_is_cut_at_a_box_and_keeps_its_place(box: tuple[float, ...]) -> None:
    whole = np.zeros((20, 30), dtype=bool)
    whole[4:16, 6:24] = True
    expected = np.zeros_like(whole)
    kept = (
        slice(math.floor(box[1]), math.ceil(box[3])),
        slice(math.floor(box[0]), math.ceil(box[2])),
    )
    expected[kept] = whole[kept]
    cut = MaskCrop.at(whole).inside(box)  # type: ignore[arg-type]
    np.testing.assert_array_equal(cut.on(whole.shape), expected)
    assert MaskCrop.at(whole).inside((25.0, 17.0, 29.0, 19.0)) is NOTHING


@given(Masks, Corner)
def test_a_window_shows_what_lies_behind_it(mask: np.ndarray, corner: tuple[int, int]) -> None:
    crop = MaskCrop.pack(mask, 20, 20)
    x, y = 20 + corner[0], 20 + corner[1]
    whole = crop.on((60, 60))
    np.testing.assert_array_equal(crop.window((x, y, x + 7, y + 5)), whole[y : y + 5, x : x + 7])


@settings(max_examples=200, deadline=None)
@given(Masks, *[st.integers(0, 9)] * 4, *[st.integers(1, 30)] * 2)
def test_shares_of_resized_pixels_are_torchs_area_resize_of_the_whole_image(
    mask: np.ndarray, top: int, left: int, bottom: int, right: int, h: int, w: int
) -> None:
    whole = np.pad(mask, ((top, bottom), (left, right)))
    expected = F.interpolate(torch.from_numpy(whole)[None, None].float(), size=(h, w), mode="area")
    for crop in (MaskCrop.at(whole), MaskCrop.pack(mask, left, top)):
        shares = crop.shares(whole.shape, (h, w))
        assert shares.dtype == np.float32
        np.testing.assert_allclose(shares, expected[0, 0].numpy(), atol=1e-6)


def test_shares_of_a_photograph_with_more_rows_than_are_summed_at_once() -> None:
    whole = np.random.default_rng(0).random((301, 207)) < 0.5
    expected = F.interpolate(
        torch.from_numpy(whole)[None, None].float(), size=(150, 99), mode="area"
    )
    shares = MaskCrop.at(whole).shares((301, 207), (150, 99))
    np.testing.assert_allclose(shares, expected[0, 0].numpy(), atol=1e-6)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(-9, 30), st.integers(-9, 30)), min_size=3, max_size=6),
        min_size=1,
        max_size=3,
    )
)
def test_polygons_are_filled_as_opencv_fills_them_on_the_whole_image(
    corners: list[list[tuple[int, int]]],
) -> None:
    rings = [np.array(ring, dtype=np.int32) for ring in corners]
    whole = np.zeros(SIZE, dtype=np.uint8)
    cv2.fillPoly(whole, rings, 1)
    np.testing.assert_array_equal(MaskCrop.of_polygons(rings, SIZE).on(SIZE), whole > 0)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.lists(st.integers(-80, 300).map(lambda v: v / 10), min_size=6, max_size=12).filter(
            lambda ring: len(ring) % 2 == 0
        ),
        min_size=1,
        max_size=3,
    )
)
def test_cocos_polygons_are_filled_as_pycocotools_fills_them(polygons: list[list[float]]) -> None:
    rle = coco_mask.merge(coco_mask.frPyObjects(polygons, *SIZE))
    crop = MaskCrop.of_segmentation(polygons, SIZE)
    np.testing.assert_array_equal(crop.on(SIZE), coco_mask.decode(rle))


@given(Masks)
def test_run_lengths_are_read_back_to_the_pixel(mask: np.ndarray) -> None:
    rle = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    counts = {"size": rle["size"], "counts": rle["counts"].decode()}
    for encoded in (rle, counts):
        crop = MaskCrop.of_segmentation(encoded)
        np.testing.assert_array_equal(crop.on(mask.shape), mask)
        assert crop.area == coco_mask.area(rle)


def test_run_lengths_with_runs_of_nothing_are_read() -> None:
    crop = MaskCrop.of_segmentation({"size": [3, 4], "counts": [0, 0, 2, 1, 0, 4, 0, 0, 5]})
    flat = np.array([0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0], dtype=bool)
    np.testing.assert_array_equal(crop.on((3, 4)), flat.reshape(4, 3).T)
