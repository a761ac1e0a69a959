from __future__ import annotations

import torch

from ovsam_plugin.network.feature_pyramid import STRIDES
from ovsam_plugin.network.objectness import LEVELS, cell_centres
from ovsam_plugin.training.proposals import (
    assign,
    known_cells,
    objectness_loss,
    share_inside,
    surest,
)

SIDE = 320
# Cells of the three levels, strides 8, 16 and 32.
COUNTS = (40 * 40, 20 * 20, 10 * 10)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


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
KNOWN = torch.ones(8, dtype=torch.bool)


def test_the_right_box_with_the_right_score_loses_least() -> None:
    right = TRUTH.expand(8, 4)
    wrong = right + 40
    sure = torch.where(TARGET >= 0, 6.0, -6.0)
    best = objectness_loss(sure, right, TRUTH, TARGET, KNOWN)
    assert best < 0.05
    assert objectness_loss(-sure, right, TRUTH, TARGET, KNOWN) > best + 1
    assert objectness_loss(sure, wrong, TRUTH, TARGET, KNOWN) > best + 1


def test_the_score_to_learn_is_the_iou_that_the_cells_box_reaches() -> None:
    """Half of the thing's height: an IoU of 0.5, so the loss is least at a logit of 0."""
    half = torch.tensor([[32.0, 32, 96, 64]]).expand(8, 4)
    losses = []
    for logit in (-2.0, 0.0, 2.0):
        scores = torch.where(TARGET >= 0, logit, -20.0).requires_grad_()
        loss = objectness_loss(scores, half, TRUTH, TARGET, KNOWN)
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
    fits = [
        objectness_loss(scores, boxes.requires_grad_(), truth, target, KNOWN)
        for boxes in (many, one)
    ]
    grads = [
        torch.autograd.grad(loss, boxes)[0].abs().sum() for loss, boxes in zip(fits, (many, one))
    ]
    torch.testing.assert_close(grads[0], grads[1])


def test_a_photograph_without_things_teaches_only_that() -> None:
    target = torch.full((100,), -1)
    boxes = torch.zeros(100, 4)
    none = torch.zeros(0, 4)
    known = torch.ones(100, dtype=torch.bool)
    quiet = objectness_loss(torch.full((100,), -6.0), boxes, none, target, known)
    loud = objectness_loss(torch.full((100,), 6.0), boxes, none, target, known)
    assert quiet < 0.01 < loud
    # And where nothing is known, nothing at all.
    assert objectness_loss(torch.full((100,), 6.0), boxes, none, target, ~known) == 0


def test_a_cell_where_a_thing_may_be_that_nobody_outlined_is_not_taught() -> None:
    known = torch.tensor([False, True, True, True, True, False, True, True])
    scores = torch.zeros(8, requires_grad=True)
    objectness_loss(scores, TRUTH.expand(8, 4), TRUTH, TARGET, known).backward()
    assert scores.grad is not None
    # The thing's own cells always are.
    assert (scores.grad != 0).tolist() == [True] * 5 + [False] + [True] * 2
    assert (scores.grad[:3] < 0).all()
    assert (scores.grad[[3, 4, 6, 7]] > 0).all()


def test_cells_are_known_by_their_middles_on_every_level() -> None:
    unknown = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    unknown[100:203, 40:77] = True
    known = known_cells(unknown)
    assert len(known) == sum(COUNTS)
    for level, found in zip(LEVELS, known.split(list(COUNTS))):
        cells = SIDE // STRIDES[level]
        centres = cell_centres(cells, cells, STRIDES[level], torch.device("cpu"))
        hidden = [40 <= x < 77 and 100 <= y < 203 for x, y in centres.tolist()]
        assert found.tolist() == [not h for h in hidden]
        assert 0 < sum(hidden) < len(hidden)
    assert known_cells(~unknown | unknown).sum() == 0


def test_the_share_of_a_box_that_lies_on_a_map_is_read_where_the_box_is() -> None:
    where = torch.zeros(64, 64, dtype=torch.bool)
    where[:, :32] = True
    where[40:, :] = True
    boxes = torch.tensor(
        [[0.0, 0, 32, 40], [16, 0, 48, 32], [32, 0, 64, 40], [40, 20, 60, 60], [8, 4, 12, 60]]
    )
    expected = torch.tensor([1.0, 0.5, 0, 0.5, 1])
    torch.testing.assert_close(share_inside(where, boxes), expected, atol=0.04, rtol=0)
    assert share_inside(where, boxes[:0]).shape == (0,)


def test_the_surest_proposals_differ_and_come_first() -> None:
    apart = torch.tensor([[x, 0.0, x + 10, 10] for x in range(0, 200, 20)])
    again = apart + torch.tensor([0.5, 0, 0.5, 0])  # an IoU of 0.9 with the one before
    logits = torch.cat([torch.arange(10.0), torch.arange(10.0) - 0.5])
    found = surest(logits, torch.cat([apart, again]), 4, 0, seeded())
    assert torch.equal(found, apart.flip(0)[:4])
    few = surest(logits[:2], apart[:2], 4, 3, seeded())
    assert torch.equal(few, apart[[1, 0]])


def test_some_of_those_behind_the_surest_are_drawn_by_chance() -> None:
    apart = torch.tensor([[x, 0.0, x + 10, 10] for x in range(0, 400, 20)])
    logits = torch.arange(20.0)
    seen = set()
    for seed in range(8):
        found = surest(logits, apart, 4, 3, seeded(seed))
        assert torch.equal(found[:4], apart.flip(0)[:4])
        others = found[4:, 0].tolist()
        assert len(set(others)) == 3
        assert max(others) < float(apart[16, 0])
        seen.add(tuple(others))
    assert len(seen) > 4
    assert torch.equal(
        surest(logits, apart, 4, 3, seeded(1)), surest(logits, apart, 4, 3, seeded(1))
    )


def test_proposals_too_thin_to_be_seen_are_behind_all_others() -> None:
    boxes = torch.tensor([[0.0, 0, 50, 3], [0, 20, 30, 40], [60, 0, 63, 50]])
    found = surest(torch.tensor([5.0, -5, 5]), boxes, 1, 0, seeded())
    assert torch.equal(found, boxes[1:2])
    logits = torch.tensor([5.0, -5, 5], requires_grad=True)
    assert not surest(logits, boxes.requires_grad_(), 3, 0, seeded()).requires_grad
