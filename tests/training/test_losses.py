from __future__ import annotations

import pytest
import torch

from ovsam_plugin.training.losses import box_iou_paired, mask_loss, name_loss, region_loss

BOX = torch.tensor([[8.0, 8.0, 24.0, 24.0]])


def target() -> torch.Tensor:
    mask = torch.zeros(1, 16, 16)
    mask[:, 2:6, 2:6] = 1
    return mask


def test_a_perfect_mask_loses_almost_nothing_and_its_opposite_almost_all() -> None:
    logits = (target() * 2 - 1)[:, None] * 20
    assert mask_loss(logits, target(), BOX, 4) < 0.05
    assert mask_loss(-logits, target(), BOX, 4) > 10


def test_an_error_near_the_object_costs_more_than_one_far_away() -> None:
    right = (target() * 2 - 1)[:, None] * 4
    near, far = right.clone(), right.clone()
    near[0, 0, 6, 4] = 4
    far[0, 0, 15, 15] = 4
    assert mask_loss(near, target(), BOX, 4) > mask_loss(far, target(), BOX, 4) + 0.01


def test_near_is_half_a_side_and_a_cell_around_the_box_and_all_else_counts_a_twentieth() -> None:
    """Two boxes of other shapes in one call; the map is wider than high."""
    boxes = torch.tensor([[40.0, 24, 56, 48], [4, 4, 36, 12]])
    near = torch.zeros(2, 20, 24, dtype=torch.bool)
    near[0, 2:16, 7:17] = True  # centres above 8 and below 64, right of 28 and left of 68
    near[1, 0:5, 0:14] = True  # above -4 and below 20, right of -16 and left of 56
    logits = torch.zeros(2, 1, 20, 24, requires_grad=True)
    mask_loss(logits, torch.zeros(2, 20, 24), boxes, 4).backward()
    assert logits.grad is not None
    for found, expected in zip(logits.grad[:, 0], near):
        assert torch.equal(found > (found.min() + found.max()) / 2, expected)
        weight = expected.sum() + 0.05 * (~expected).sum()
        # Dice counts all cells alike; of the rest, half a logit's slope, the mean of two.
        difference = 0.95 * 0.5 / weight / 2
        assert found.max() - found.min() == pytest.approx(float(difference), rel=1e-3)


def test_the_name_loss_falls_as_an_embedding_nears_its_text() -> None:
    texts = torch.eye(4)
    classes = torch.tensor([2])
    away, near = (name_loss(texts[[i]], classes, texts, 20.0) for i in (0, 2))
    assert near < 1.5 < 10 < away


def test_background_is_learned_as_unlike_every_text() -> None:
    texts = torch.eye(3)
    embedding = torch.tensor([[0.2, 0.1, 0.0]], requires_grad=True)
    name_loss(embedding, torch.tensor([3]), texts, 20.0).backward()
    assert embedding.grad is not None
    cosines = torch.nn.functional.normalize(embedding - 1e-3 * embedding.grad, dim=-1) @ texts.T
    before = torch.nn.functional.normalize(embedding, dim=-1) @ texts.T
    assert cosines.max().item() < before.max().item()


def square(x1: int, y1: int, x2: int, y2: int) -> torch.Tensor:
    masks = torch.zeros(1, 64, 64, dtype=torch.bool)
    masks[0, y1:y2, x1:x2] = True
    return masks


def drawn(masks: torch.Tensor, window: tuple[int, int, int, int]) -> torch.Tensor:
    """Sure logits of a mask inside a window of 32 x 32 pixels."""
    x1, y1, x2, y2 = window
    assert (x2 - x1, y2 - y1) == (32, 32)
    return (masks[:, y1:y2, x1:x2].float() * 2 - 1) * 20


# The truth is read bilinearly, so that its edge cells are neither on nor off: a mask that is exact
# has an IoU a few hundredths below 1 here, where each edge is a large share of a small mask.
EDGE = 0.08


def test_a_mask_drawn_right_inside_its_window_loses_least_and_its_iou_is_near_one() -> None:
    masks, window = square(20, 24, 40, 36), (12, 16, 44, 48)
    frame = torch.tensor([window]).float()
    loss, iou = region_loss(drawn(masks, window), masks, frame)
    assert loss < 0.5
    assert iou == pytest.approx(1, abs=EDGE)
    for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        moved = square(20 + dx, 24 + dy, 40 + dx, 36 + dy)
        worse, lower = region_loss(drawn(moved, window), masks, frame)
        assert worse > loss + 0.3
        assert lower < iou - 0.03
    opposite, none = region_loss(-drawn(masks, window), masks, frame)
    assert opposite > 10
    assert none < 0.03


def test_what_a_window_does_not_reach_counts_as_missed() -> None:
    """The upper half of the mask is drawn, and the lower lies outside the window."""
    masks, window = square(20, 32, 40, 60), (12, 14, 44, 46)
    _, iou = region_loss(drawn(masks, window), masks, torch.tensor([window]).float())
    assert iou == pytest.approx(0.5, abs=EDGE / 2)


def test_a_mask_drawn_beyond_the_truth_has_the_iou_of_both() -> None:
    masks, window = square(20, 24, 30, 44), (12, 16, 44, 48)
    wider = square(20, 24, 40, 44)
    _, iou = region_loss(drawn(wider, window), masks, torch.tensor([window]).float())
    assert iou == pytest.approx(0.5, abs=EDGE / 2)


def test_each_mask_is_compared_on_its_own_window() -> None:
    masks = torch.cat([square(20, 24, 40, 36), square(2, 2, 20, 20)])
    frames = (12, 16, 44, 48), (0, 0, 32, 32)
    logits = torch.cat([drawn(m[None], w) for m, w in zip(masks, frames)])
    loss, iou = region_loss(logits, masks, torch.tensor(frames).float())
    assert loss.shape == iou.shape == (2,)
    assert loss.max() < 0.5
    assert iou.min() > 1 - EDGE
    swapped, _ = region_loss(logits, masks, torch.tensor(frames[::-1]).float())
    assert swapped.min() > 2


def test_boxes_are_compared_in_pairs() -> None:
    a = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10], [5, 5, 5, 5]])
    b = torch.tensor([[0.0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [5, 5, 5, 5]])
    torch.testing.assert_close(box_iou_paired(a, b), torch.tensor([1, 50 / 150, 0, 0]))
