from __future__ import annotations

import torch

from ovsam_plugin.training.objectness import assign, objectness_loss


def test_a_cell_belongs_to_the_smallest_box_around_it() -> None:
    boxes = torch.tensor([[0.0, 0, 160, 160], [60, 60, 100, 100]])
    target = assign(boxes, 10, 10).reshape(10, 10)
    assert target[5, 5] == 1
    assert target[3, 3] == 0
    assert target[0, 0] == -1


def test_even_a_tiny_box_gets_a_cell() -> None:
    target = assign(torch.tensor([[30.0, 30, 33, 33]]), 10, 10)
    assert (target == 0).sum() == 1


def test_the_right_box_with_the_right_score_loses_least() -> None:
    truth = torch.tensor([[32.0, 32, 96, 96]])
    target = assign(truth, 10, 10)
    right = truth.expand(100, 4)
    wrong = right + torch.tensor([40.0, 40, 40, 40])
    sure = torch.where(target >= 0, 6.0, -6.0)
    best = objectness_loss(sure, right, truth, target)
    assert best < 0.05
    assert objectness_loss(-sure, right, truth, target) > best + 1
    assert objectness_loss(sure, wrong, truth, target) > best + 0.3


def test_a_photograph_without_things_teaches_only_that() -> None:
    target = torch.full((100,), -1)
    boxes = torch.zeros(100, 4)
    none = torch.zeros(0, 4)
    quiet = objectness_loss(torch.full((100,), -6.0), boxes, none, target)
    loud = objectness_loss(torch.full((100,), 6.0), boxes, none, target)
    assert quiet < 0.01 < loud
