from __future__ import annotations

import numpy as np
import pytest
import torch

from ovsam_plugin.decoded import Decoded
from ovsam_plugin.everything import MOST, distinct, find_everything, mask_iou, wholes
from ovsam_plugin.network.ovsam import Embeddings, mask_boxes
from ovsam_plugin.predictor import load_predictor
from ovsam_plugin.prompts import Box, Grid


def decoded(masks: list[tuple[int, int, int, int]], quality: list[float]) -> Decoded:
    logits = torch.full((len(masks), 32, 32), -5.0)
    for row, (x1, y1, x2, y2) in zip(logits, masks):
        row[y1:y2, x1:x2] = 5
    return Decoded(
        prompts=tuple(Box((0, 0, 1, 1), id=str(i)) for i in range(len(masks))),
        logits=logits,
        windows=torch.tensor([[0.0, 0, 32, 32]]).expand(len(masks), -1),
        boxes=mask_boxes(logits > 0).float(),
        stability=torch.tensor(quality),
        quality=torch.tensor(quality),
        embeddings=Embeddings(torch.zeros(len(masks), 4), torch.zeros(len(masks), 4)),
    )


def test_mask_iou_is_overlap_over_union() -> None:
    masks = decoded([(0, 0, 4, 4), (2, 0, 6, 4), (20, 20, 30, 30)], [1, 1, 1]).logits > 0
    torch.testing.assert_close(mask_iou(masks[0], masks), torch.tensor([1, 8 / 24, 0]))


def test_of_overlapping_answers_the_first_in_order_stays() -> None:
    found = decoded([(0, 0, 10, 10), (0, 0, 10, 9), (15, 15, 25, 25)], [0.8, 0.9, 0.7])
    masks = found.logits > 0
    assert distinct(found, masks, [1, 0, 2], 0.6) == [1, 2]
    assert distinct(found, masks, [0, 1, 2], 0.6) == [0, 2]
    assert distinct(found, masks, [1, 0, 2], 0.95) == [1, 0, 2]


def test_a_part_that_looks_like_its_whole_is_left_out_and_one_that_does_not_stays() -> None:
    found = decoded([(5, 5, 9, 9), (0, 0, 20, 20), (12, 12, 18, 18)], [0.9, 0.8, 0.7])
    found.embeddings.head[:] = torch.eye(4)[[0, 0, 1]]
    masks = found.logits > 0
    assert distinct(found, masks, [0, 1, 2], 0.6) == [0, 1, 2]
    assert wholes(found, masks, [0, 1, 2]) == [1, 2]
    assert wholes(found, masks, [0, 1, 2], torch.tensor([0.5, 0.9, 0.7])) == [1, 2]
    assert wholes(found, masks, [0, 1, 2], torch.tensor([0.8, 0.9, 0.7])) == [0, 1, 2]


def test_everything_on_a_photograph_is_distinct_and_inside_it() -> None:
    from skimage import data

    predictor = load_predictor("ovsam-lite", device="cpu")
    image = data.chelsea()
    (encoding,) = predictor.encode([predictor.preprocess(image)])
    for grid in (None, Grid(6)):
        instances = find_everything(predictor, encoding, grid)
        assert len(instances) >= 1
        assert not instances.empty.any()
        masks = np.stack([instances.full_mask(i) for i in range(len(instances))])
        assert masks.shape[1:] == image.shape[:2]
        overlap = (masks[:, None] & masks[None]).sum((2, 3))
        union = (masks[:, None] | masks[None]).sum((2, 3))
        iou = overlap / union
        assert iou[~np.eye(len(masks), dtype=bool)].max(initial=0) < 0.7


def test_proposals_lie_on_the_photograph_and_the_surest_answers_come_first() -> None:
    from skimage import data

    predictor = load_predictor("ovsam-lite", device="cpu")
    image = data.coffee()
    (encoding,) = predictor.encode([predictor.preprocess(image)])
    proposals = predictor.proposals(encoding)
    assert proposals is not None
    height, width = encoding.frame.size
    assert proposals.boxes.amin() >= 0
    assert proposals.boxes[..., 0::2].amax() <= width
    assert proposals.boxes[..., 1::2].amax() <= height
    instances = find_everything(predictor, encoding)
    assert 1 <= len(instances) <= MOST
    boxes = [p.xyxy for p in instances.prompts if isinstance(p, Box)]
    assert len(boxes) == len(instances)
    assert all(Box(box).on_image(image.shape[1], image.shape[0]).xyxy == box for box in boxes)


@pytest.mark.parametrize("shape", [(1, 1), (2, 400)])
def test_a_photograph_with_nothing_on_it_has_no_instance_or_a_sound_one(
    shape: tuple[int, int],
) -> None:
    predictor = load_predictor("ovsam-lite", device="cpu")
    image = np.zeros((*shape, 3), dtype=np.uint8)
    (encoding,) = predictor.encode([predictor.preprocess(image)])
    instances = find_everything(predictor, encoding, Grid(3))
    assert all(instances.full_mask(i).any() for i in range(len(instances)))
