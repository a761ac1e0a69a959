from __future__ import annotations

import torch

from ovsam_plugin.training.proposals import assign, objectness_loss

SIDE = 320
# Cells of the three levels, strides 8, 16 and 32.
COUNTS = (40 * 40, 20 * 20, 10 * 10)


def masks_of(boxes: torch.Tensor) -> torch.Tensor:
    masks = torch.zeros(len(boxes), SIDE, SIDE, dtype=torch.bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes.int().tolist()):
        mask[y1:y2, x1:x2] = True
    return masks


def levels(target: torch.Tensor) -> list[torch.Tensor]:
    assert len(target) == sum(COUNTS)
    return [part.view(side, side) for part, side in zip(target.split(list(COUNTS)), (40, 20, 10))]


def assigned(*boxes: tuple[int, int, int, int]) -> list[torch.Tensor]:
    truth = torch.tensor(boxes, dtype=torch.float32)
    return levels(assign(truth, masks_of(truth)))


def test_a_cell_belongs_to_the_smallest_thing_on_it() -> None:
    _, middle, _ = assigned((0, 0, 160, 160), (60, 60, 140, 140))
    assert middle[6, 6] == 1
    assert middle[1, 1] == 0
    assert middle[15, 15] == -1


def test_things_are_proposed_by_the_levels_of_their_size_and_two_between() -> None:
    for box, expected in (
        ((10, 10, 50, 50), (True, False, False)),
        ((10, 10, 90, 50), (True, True, False)),
        ((10, 10, 130, 50), (False, True, False)),
        ((10, 10, 210, 50), (False, True, True)),
        ((10, 10, 310, 300), (False, False, True)),
    ):
        assert tuple(bool((level >= 0).any()) for level in assigned(box)) == expected


def test_even_a_tiny_thing_between_cells_gets_the_nearest_cell() -> None:
    fine, *_ = assigned((14, 14, 18, 18))
    assert (fine >= 0).sum() == 1
    assert fine[1, 1] == 0 or fine[2, 2] == 0


def test_a_ring_owns_the_middle_of_its_box_too() -> None:
    truth = torch.tensor([[40.0, 40, 120, 120]])
    masks = masks_of(truth)
    masks[0, 50:110, 50:110] = False
    fine = levels(assign(truth, masks))[0]
    assert fine[10, 10] == 0
    assert fine[5, 5] == 0
    assert fine[6, 6] == -1


TRUTH = torch.tensor([[32.0, 32, 96, 96]])
TARGET = torch.tensor([0, 0, 0, -1, -1, -1, -1, -1])


def test_the_right_box_with_the_right_score_loses_least() -> None:
    right = TRUTH.expand(8, 4)
    wrong = right + 40
    sure = torch.where(TARGET >= 0, 6.0, -6.0)
    best = objectness_loss(sure, right, TRUTH, TARGET)
    assert best < 0.05
    assert objectness_loss(-sure, right, TRUTH, TARGET) > best + 1
    assert objectness_loss(sure, wrong, TRUTH, TARGET) > best + 1


def test_the_score_to_learn_is_the_iou_that_the_cells_box_reaches() -> None:
    """Half of the thing's height: an IoU of 0.5, so the loss is least at a logit of 0."""
    half = torch.tensor([[32.0, 32, 96, 64]]).expand(8, 4)
    losses = []
    for logit in (-2.0, 0.0, 2.0):
        scores = torch.where(TARGET >= 0, logit, -20.0).requires_grad_()
        loss = objectness_loss(scores, half, TRUTH, TARGET)
        loss.backward()
        losses.append(float(loss.detach()))
        if logit == 0:
            assert scores.grad is not None
            assert scores.grad[:3].abs().max() < 1e-6
    assert losses[1] < min(losses[0], losses[2])


def test_instances_count_alike_however_many_cells_they_cover() -> None:
    truth = torch.tensor([[0.0, 0, 64, 64], [100, 100, 164, 164]])
    target = torch.tensor([0, 0, 0, 0, 0, 0, 0, 1])
    scores = torch.zeros(8)
    right = truth[target]
    many, one = right.clone(), right.clone()
    many[:7] += 8
    one[7] += 8
    fits = [objectness_loss(scores, boxes.requires_grad_(), truth, target) for boxes in (many, one)]
    grads = [
        torch.autograd.grad(loss, boxes)[0].abs().sum() for loss, boxes in zip(fits, (many, one))
    ]
    torch.testing.assert_close(grads[0], grads[1])


def test_a_photograph_without_things_teaches_only_that() -> None:
    target = torch.full((100,), -1)
    boxes = torch.zeros(100, 4)
    none = torch.zeros(0, 4)
    quiet = objectness_loss(torch.full((100,), -6.0), boxes, none, target)
    loud = objectness_loss(torch.full((100,), 6.0), boxes, none, target)
    assert quiet < 0.01 < loud
