"""Mask IoU is pycocotools', to the last bit that matters (1e-6 absolute; it is far less)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask

from ovsam_plugin.evaluation.mask_iou import crops_of, intersection, iou_matrix, mask_iou
from ovsam_plugin.images.mask_crop import MaskCrop, crop_mask
from ovsam_plugin.prediction.instances import Instances, PackedMasks
from ovsam_plugin.prediction.prompts import Box

Masks = list[npt.NDArray[np.bool_]]
SIZE = (7, 9)


def boxes_and_noise(size: tuple[int, int] = SIZE) -> st.SearchStrategy[npt.NDArray[np.bool_]]:
    """Masks that are empty, touch, nest, coincide, or are anything at all."""
    height, width = size

    def rectangle(corners: tuple[int, int, int, int]) -> npt.NDArray[np.bool_]:
        mask = np.zeros(size, dtype=bool)
        mask[corners[0] : corners[1], corners[2] : corners[3]] = True
        return mask

    rows, columns = st.integers(0, height), st.integers(0, width)
    return st.one_of(st.tuples(rows, rows, columns, columns).map(rectangle), arrays(np.bool_, size))


def reference(detections: Masks, truths: Masks, crowd: list[bool]) -> npt.NDArray[np.float64]:
    if not detections or not truths:
        return np.zeros((len(detections), len(truths)))
    encoded = [
        [coco_mask.encode(np.asfortranarray(m.astype(np.uint8))) for m in masks]
        for masks in (detections, truths)
    ]
    return np.asarray(coco_mask.iou(*encoded, [int(flag) for flag in crowd]))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_every_pair_has_the_iou_of_pycocotools(data: st.DataObject) -> None:
    detections = data.draw(st.lists(boxes_and_noise(), max_size=4))
    truths = data.draw(st.lists(boxes_and_noise(), max_size=4))
    crowd = data.draw(st.lists(st.booleans(), min_size=len(truths), max_size=len(truths)))
    crops = [*map(MaskCrop.at, detections)], [*map(MaskCrop.at, truths)]
    ours = iou_matrix(*crops, crowd)
    theirs = reference(detections, truths, crowd)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)
    high = iou_matrix(*crops, crowd, min_iou=0.5)
    assert np.array_equal(high[theirs >= 0.5], ours[theirs >= 0.5])


@settings(max_examples=60, deadline=None)
@given(boxes_and_noise(), st.integers(0, 5), st.integers(0, 4))
def test_a_crop_keeps_the_place_and_the_pixels(mask: npt.NDArray[np.bool_], x: int, y: int) -> None:
    canvas = np.zeros((20, 20), dtype=bool)
    canvas[y : y + SIZE[0], x : x + SIZE[1]] = mask
    crop = MaskCrop.at(mask, x, y)
    assert crop.area == mask.sum()
    if crop.area:
        assert (crop.x, crop.y) == crop_mask(canvas)[0][:2]
    assert np.array_equal(coco_mask.decode(crop.rle((20, 20))).astype(bool), canvas)


def test_masks_that_only_touch_share_nothing() -> None:
    left, right = MaskCrop.at(np.ones((4, 3), dtype=bool)), MaskCrop.at(np.ones((4, 3), bool), x=3)
    assert intersection(left, right) == 0
    assert mask_iou(left, right) == 0
    assert mask_iou(left, right.moved(2, 0)) == pytest.approx(4 / 20)


def test_boxes_may_overlap_where_masks_do_not() -> None:
    upper = np.triu(np.ones((6, 6), dtype=bool), 1)
    assert mask_iou(MaskCrop.at(upper), MaskCrop.at(upper.T)) == 0


def test_a_crowd_counts_over_the_area_of_the_detection() -> None:
    inside, crowd = MaskCrop.at(np.ones((2, 2), bool), 1, 1), MaskCrop.at(np.ones((8, 8), bool))
    assert mask_iou(inside, crowd, crowd=True) == 1
    assert mask_iou(inside, crowd) == pytest.approx(4 / 64)


def test_one_flag_a_truth_is_needed() -> None:
    crop = MaskCrop.at(np.ones((2, 2), dtype=bool))
    with pytest.raises(ValueError, match="1 truths with crowd flags of shape"):
        iou_matrix([crop], [crop], [True, False])


def test_the_masks_of_instances_are_their_crops() -> None:
    canvas = np.zeros((12, 10), dtype=bool)
    canvas[3:7, 2:9] = True
    canvas[3, 2] = False
    box, crop = crop_mask(canvas)
    instances = Instances(
        image_size=(12, 10),
        boxes=np.array([box, (0, 0, 0, 0)]),
        masks=PackedMasks.pack([crop, np.zeros((0, 0), dtype=bool)]),
        stability=np.ones(2, dtype=np.float32),
        objectness=np.ones(2, dtype=np.float32),
        head_embeddings=np.zeros((2, 4), dtype=np.float32),
        clip_embeddings=np.zeros((2, 4), dtype=np.float32),
        prompts=(Box((0, 0, 5, 5)), Box((0, 0, 5, 5))),
    )
    whole, empty = crops_of(instances)
    assert mask_iou(whole, MaskCrop.at(canvas)) == 1
    assert empty.area == 0
    assert mask_iou(empty, empty) == 0
