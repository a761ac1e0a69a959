"""Labels on the pixels of their photograph."""

from __future__ import annotations

from pathlib import Path

import cv2
import fiftyone as fo
import numpy as np
import pytest

from ovsam_plugin.dataset.label_masks import (
    UnreadableMaskError,
    crop_of,
    mask_of,
    pixel_box,
    reaches_over,
)

SIZE = (100, 200)  # height, width


def detection(box: list[float], height: int, width: int) -> fo.Detection:
    return fo.Detection(bounding_box=box, mask=np.ones((height, width), bool))


def test_a_mask_lies_on_the_pixels_of_its_box() -> None:
    crop = crop_of(detection([0.1, 0.2, 0.25, 0.3], 30, 50), SIZE)
    assert crop is not None
    assert crop.box == (20, 20, 70, 50)
    assert crop.area == 30 * 50
    assert crop_of(fo.Detection(bounding_box=[0, 0, 1, 1]), SIZE) is None


def test_a_mask_of_another_size_is_stretched_or_refused_and_a_pixel_is_rounding() -> None:
    small = detection([0.1, 0.2, 0.25, 0.3], 3, 5)
    crop = crop_of(small, SIZE)
    assert crop is not None
    assert (crop.box, crop.area) == ((20, 20, 70, 50), 30 * 50)
    with pytest.raises(ValueError, match="is 5 x 3 and its box 50 x 30 pixels of the 200 x 100"):
        crop_of(small, SIZE, resize_masks=False)
    near = crop_of(detection([0.1, 0.2, 0.25, 0.3], 31, 49), SIZE, resize_masks=False)
    assert near is not None
    assert near.box == (20, 20, 69, 51)  # the mask's own pixels are kept


def test_what_reaches_over_the_edge_is_cut_there() -> None:
    label = detection([0.9, -0.1, 0.2, 0.4], 40, 40)
    assert reaches_over(label, SIZE)
    crop = crop_of(label, SIZE)
    assert crop is not None
    assert crop.box == (180, 0, 200, 30)
    assert not reaches_over(detection([0, 0, 1, 1], 1, 1), SIZE)


@pytest.mark.parametrize(
    "box", [None, [0.1, 0.2, 0.3], [0.1, float("nan"), 0.1, 0.1], [0.1, 0.1, 9e9, 0.1]]
)
def test_a_box_that_is_none_or_lies_nowhere_near_is_refused(box: list[float] | None) -> None:
    with pytest.raises(ValueError, match="bounding_box is|not finite or lies far outside"):
        pixel_box(box, SIZE)


def test_a_mask_is_read_from_its_file_and_a_damaged_one_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    cv2.imwrite(str(path), np.full((30, 50), 255, np.uint8))
    label = fo.Detection(bounding_box=[0.1, 0.2, 0.25, 0.3], mask_path=str(path))
    pixels = mask_of(label)
    assert pixels is not None
    assert (pixels.dtype, pixels.shape, bool(pixels.all())) == (np.bool_, (30, 50), True)
    path.write_bytes(b"damaged")
    with pytest.raises(UnreadableMaskError, match="cannot be read"):
        mask_of(label)
    path.unlink()
    with pytest.raises(UnreadableMaskError, match="cannot be read"):
        mask_of(label)


def test_a_mask_with_channels_is_refused() -> None:
    label = fo.Detection(bounding_box=[0, 0, 1, 1], mask=np.ones((3, 4, 3), np.uint8))
    with pytest.raises(ValueError, match=r"has shape \(3, 4, 3\), need \(h, w\)"):
        mask_of(label)
