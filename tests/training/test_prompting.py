from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from ovsam_plugin.training.prompting import (
    background_boxes,
    click,
    clicks,
    jittered,
    make_prompts,
    random_points,
)
from tests.training.small import rectangle_crop

BOTH = torch.tensor([0, 1])
CROP = rectangle_crop((5, 5, 40, 30), (30, 40, 50, 60))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_first_click_lies_on_the_object_and_labels_tell_on_from_off() -> None:
    mask = np.zeros((64, 64), dtype=bool)
    mask[20:40, 10:30] = True
    seen = set()
    for seed in range(20):
        xy, labels = click(mask, 3, seeded(seed))
        assert labels[0] == 1
        on = [bool(mask[int(y), int(x)]) for x, y in xy.tolist()]
        assert on == [label == 1 for label in labels.tolist()]
        assert (xy.frac() == 0.5).all()
        seen.update(labels[1:].tolist())
    assert seen == {0, 1}


def test_most_first_clicks_are_deep_inside() -> None:
    mask = np.zeros((64, 64), dtype=bool)
    mask[4:60, 4:60] = True
    depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 3)
    depths = []
    for seed in range(60):
        x, y = click(mask, 1, seeded(seed))[0][0].long().tolist()
        depths.append(depth[y, x] / depth.max())
    # Anywhere on this square is deeper than 0.8 one time in 25.
    assert 0.5 < np.mean([d >= 0.7 for d in depths]) < 0.85


def test_clicks_off_the_object_are_near_it() -> None:
    mask = np.zeros((200, 200), dtype=bool)
    mask[90:110, 90:110] = True
    for seed in range(10):
        xy, labels = click(mask, 4, seeded(seed))
        away = (xy[labels == 0] - 100).abs().amax(1) - 10
        assert (away > 1).all()
        assert (away < 41).all()


def test_an_object_that_fills_the_crop_gets_no_click_off_it() -> None:
    _, labels = click(np.ones((32, 32), dtype=bool), 5, seeded())
    assert labels.tolist() == [1] * 5


@pytest.mark.parametrize("which", [[0], [1, 0], [1, 1, 0]])
def test_clicks_are_on_the_instances_that_were_asked_for(which: list[int]) -> None:
    batch = clicks(CROP, torch.tensor(which), 2, seeded())
    assert batch.points is not None
    assert batch.points.shape == (len(which), 2, 2)
    for row, points in zip(which, batch.points):
        x, y = points[0].long().tolist()
        assert CROP.masks[row, y, x]


def test_random_points_lie_anywhere_on_their_own_instance() -> None:
    which = torch.tensor([0, 1] * 50)
    batch = random_points(CROP, which, seeded())
    assert batch.points is not None
    assert batch.point_labels is not None
    assert batch.point_labels.eq(1).all()
    places = batch.points[:, 0].long()
    assert CROP.masks[which, places[:, 1], places[:, 0]].all()
    on_first = places[::2]
    assert on_first.amin(0).tolist() < [8, 8]
    assert (on_first.amax(0) > torch.tensor([36, 26])).all()


def test_boxes_are_jittered_within_the_crop_and_many_stay_exact() -> None:
    boxes = torch.tensor([[10.0, 12, 50, 60]]).expand(400, -1)
    moved = jittered(boxes, 64, seeded())
    assert moved.min() >= 0
    assert moved.max() <= 64
    assert (moved[:, 2:] > moved[:, :2]).all()
    exact = (moved == boxes).all(1).float().mean()
    assert 0.3 < exact < 0.5
    overlaps = box_iou(moved, boxes[:1])[:, 0]
    assert overlaps.median() > 0.85
    assert overlaps.min() < 0.7


def test_a_box_at_the_edge_keeps_its_sides_however_far_it_is_moved() -> None:
    boxes = torch.tensor([[62.0, 62, 64, 64], [0, 0, 2, 2]]).repeat(200, 1)
    moved = jittered(boxes, 64, seeded())
    assert (moved[:, 2:] > moved[:, :2]).all()


def test_prompts_of_every_kind_are_of_the_instances_asked_for() -> None:
    boxed = make_prompts(CROP, BOTH, "box", seeded())
    assert boxed.boxes is not None
    assert boxed.points is None
    assert (box_iou(boxed.boxes, CROP.boxes).argmax(1) == BOTH).all()
    large = rectangle_crop((5, 5, 80, 60), (60, 64, 120, 124), side=128)
    drawn = make_prompts(large, BOTH, "mask", seeded())
    assert drawn.masks is not None
    assert drawn.boxes is not None
    assert drawn.masks.shape == (2, 1, 32, 32)
    assert drawn.masks.min() == -10
    assert drawn.masks.max() == 10
    for row, (y, x) in enumerate(((8, 10), (23, 22))):
        assert drawn.masks[row, 0, y, x] > 0
        assert drawn.masks[1 - row, 0, y, x] < 0
    counts = set()
    for seed in range(20):
        clicked = make_prompts(CROP, BOTH, "point", seeded(seed))
        assert clicked.points is not None
        assert clicked.boxes is None
        assert len(clicked.points) == 2
        counts.add(clicked.points.shape[1])
    assert counts == {1, 2, 3}


def test_the_same_chance_gives_the_same_prompts() -> None:
    for kind in ("box", "point", "mask"):
        one, two = (make_prompts(CROP, BOTH, kind, seeded(3)) for _ in range(2))
        for name in ("boxes", "points", "masks"):
            a, b = getattr(one, name), getattr(two, name)
            assert (a is None) == (b is None)
            assert a is None or torch.equal(a, b)


def test_background_boxes_are_large_enough_and_keep_off_instances() -> None:
    crop = rectangle_crop((10, 10, 120, 120), side=256)
    found = torch.cat([background_boxes(crop, 6, seeded(s)) for s in range(20)])
    assert 20 < len(found) < 120
    assert ((found[:, 2:] - found[:, :2]) > 24).all()
    assert box_iou(found, crop.boxes).max() < 0.3


def test_background_boxes_keep_off_every_instance_and_off_what_is_unknown() -> None:
    """Each quarter but one holds something: that one is all the background there is."""
    quarters = (0, 0, 128, 128), (128, 0, 256, 128)
    crop = rectangle_crop(*quarters, side=256, unknown=(0, 128, 128, 256))
    found = torch.cat([background_boxes(crop, 30, seeded(s)) for s in range(30)])
    assert len(found) > 30
    overlaps = box_iou(found, crop.boxes)
    assert overlaps.max() < 0.3
    on_unknown = share_on(found, torch.tensor([0.0, 128, 128, 256]))
    # The share is read at a lattice of points in the box.
    assert on_unknown.max() < 0.3
    known = rectangle_crop(*quarters, side=256)
    more = torch.cat([background_boxes(known, 30, seeded(s)) for s in range(30)])
    assert len(more) > len(found)
    assert share_on(more, torch.tensor([0.0, 128, 128, 256])).max() > 0.9
    nothing = replace(crop, unknown=torch.ones(256, 256, dtype=torch.bool))
    assert len(background_boxes(nothing, 30, seeded())) == 0


def share_on(boxes: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    """The share of each box that lies on a place."""
    shared = torch.minimum(boxes[:, 2:], place[2:]) - torch.maximum(boxes[:, :2], place[:2])
    return shared.clamp(min=0).prod(1) / (boxes[:, 2:] - boxes[:, :2]).prod(1)


def test_a_crop_without_instances_has_no_background_to_tell() -> None:
    """Nothing says that what nobody outlined is nothing."""
    assert background_boxes(rectangle_crop(), 6, seeded()).shape == (0, 4)
