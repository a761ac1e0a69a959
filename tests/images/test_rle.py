"""Masks to run lengths and back, held against pycocotools."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask

from ovsam_plugin.images.rle import decode_crop, decode_segmentation, encode_crop


@st.composite
def placed_masks(draw):
    """A mask, the box it lies in, and the image around."""
    crop = draw(hnp.arrays(bool, st.tuples(st.integers(0, 9), st.integers(0, 9))))
    left, top, right, bottom = (draw(st.integers(0, 5)) for _ in range(4))
    return np.pad(crop, ((top, bottom), (left, right))), crop, (left, top)


@settings(max_examples=300, deadline=None)
@given(placed_masks())
def test_a_crop_encodes_to_the_very_bytes_that_pycocotools_gives_for_the_whole_image(placed):
    full, crop, corner = placed
    encoded = encode_crop(crop, corner, full.shape)
    assert encoded["size"] == list(full.shape)
    np.testing.assert_array_equal(coco_mask.decode(encoded).astype(bool), full)
    if full.size:
        whole = coco_mask.encode(np.asfortranarray(full, dtype=np.uint8))
        assert encoded["counts"] == whole["counts"].decode()


@settings(max_examples=100, deadline=None)
@given(placed_masks())
def test_compressed_and_plain_run_lengths_decode_to_the_mask(placed):
    full, crop, corner = placed
    encoded = encode_crop(crop, corner, full.shape)
    np.testing.assert_array_equal(decode_segmentation(encoded, full.shape), full)
    flat = full.flatten(order="F")
    changes = np.flatnonzero(np.diff(np.concatenate([[False], flat])))
    counts = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    plain = {"size": list(full.shape), "counts": counts}
    np.testing.assert_array_equal(decode_segmentation(plain, full.shape), full)


def test_a_mask_of_a_huge_image_costs_what_its_own_box_costs():
    encoded = encode_crop(np.ones((2, 3), dtype=bool), (11_990, 8_000), (9_000, 12_000))
    assert coco_mask.area(encoded) == 6
    assert coco_mask.toBbox(encoded).tolist() == [11_990, 8_000, 3, 2]


def test_a_crop_that_reaches_outside_the_image_is_rejected():
    with pytest.raises(ValueError, match="does not lie on the 4 x 5 image"):
        encode_crop(np.ones((2, 2), dtype=bool), (3, 0), (5, 4))


def test_polygons_are_filled_together():
    squares = [[1, 1, 3, 1, 3, 3, 1, 3], [5, 5, 7, 5, 7, 7, 5, 7]]
    mask = decode_segmentation(squares, (8, 8))
    assert mask[1:3, 1:3].all()
    assert mask[5:7, 5:7].all()
    assert mask.sum() == 8


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        (None, "missing or empty"),
        ([], "missing or empty"),
        ([[1, 1, 2, 2]], "three points"),
        ([[1, 1, 2, 2, 3]], "odd number"),
        ([[1, 1, 2, 2, float("nan"), 3]], "not a finite number"),
        ([[1, 1, 2, 2, 1e12, 3]], "farther than"),
        (["1, 2, 3"], "list of numbers"),
        ({"counts": [4]}, "cannot be read"),
        ({"size": [2, 2], "counts": [3]}, "add up"),
        ({"size": [2, 2], "counts": [-1, 5]}, "add up"),
        ({"size": [3, 3], "counts": [9]}, "3 x 3, the image is 2 x 2"),
        ({"size": [2, 2], "counts": "\x01"}, "no meaning"),
        ({"size": [2, 2], "counts": "P"}, "ends inside"),
        ({"size": [2, 2], "counts": "PPP0"}, "add up"),
    ],
)
def test_broken_segmentations_say_what_is_wrong(segmentation, reason):
    with pytest.raises(ValueError, match=reason):
        decode_segmentation(segmentation, (2, 2))


def test_polygons_without_an_image_size_are_rejected():
    with pytest.raises(ValueError, match="width and height"):
        decode_segmentation([[1, 1, 3, 1, 3, 3]], None)


@pytest.mark.parametrize("size", [(10**20, 10), (70_000, 70_000), (-2, -2)])
def test_sizes_that_no_image_has_are_rejected(size):
    triangle = [[1, 1, 3, 1, 3, 3]]
    runs = {"size": list(size), "counts": [size[0] * size[1]]}
    for segmentation, told in ((triangle, size), (runs, size), (runs, None)):
        with pytest.raises(ValueError, match="no image is"):
            decode_crop(segmentation, told)
