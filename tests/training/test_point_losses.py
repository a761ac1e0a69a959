from __future__ import annotations

import pytest
import torch

from ovsam_plugin.training.point_losses import class_loss, point_losses, uncertain_points


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_three_of_four_points_are_where_the_mask_is_least_sure() -> None:
    """Logits that rise from left to right and are 0 in the middle."""
    ramp = torch.linspace(-8, 8, 32).expand(1, 32, 32)
    places = uncertain_points(ramp, 400, seeded())
    assert places.shape == (1, 400, 2)
    assert places.min() >= 0
    assert places.max() <= 1
    # Reads blend with 0 at the border, so that the places there are no measure.
    inner = ((places[0] - 0.5).abs() < 0.48).all(1)
    away = (places[0, :, 0] - 0.5).abs()
    # Of 1,200 candidates the nearest 300 are taken: a quarter of the width.
    assert away[:300][inner[:300]].max() == pytest.approx(0.12, abs=0.01)
    assert away[300:].max() > 0.45
    assert away[300:].mean() == pytest.approx(0.25, abs=0.05)


def test_points_are_chosen_without_a_gradient_and_the_same_by_the_same_chance() -> None:
    logits = torch.randn(3, 16, 16, generator=seeded()).requires_grad_()
    places = uncertain_points(logits, 40, seeded(1))
    assert not places.requires_grad
    assert torch.equal(places, uncertain_points(logits, 40, seeded(1)))
    assert not torch.equal(places, uncertain_points(logits, 40, seeded(2)))


def test_a_mask_of_any_size_is_compared_with_logits_of_a_quarter() -> None:
    truth = torch.zeros(2, 64, 64, dtype=torch.bool)
    truth[0, 16:48, 8:40] = True
    truth[1, :, 32:] = True
    right = (truth[:, ::4, ::4].float() * 2 - 1) * 20
    entropy, dice = point_losses(right, truth, seeded(), 1000)
    wrong_entropy, wrong_dice = point_losses(-right, truth, seeded(), 1000)
    assert entropy < 0.7
    assert dice < 0.15
    assert wrong_entropy > 5
    assert wrong_dice > 0.7
    half_entropy, half_dice = point_losses(
        torch.stack([right[0], -right[1]]), truth, seeded(), 1000
    )
    assert entropy < half_entropy < wrong_entropy
    assert dice < half_dice < wrong_dice


def test_losses_pull_logits_towards_the_mask() -> None:
    truth = torch.zeros(1, 32, 32, dtype=torch.bool)
    truth[:, :, 16:] = True
    logits = torch.zeros(1, 8, 8, requires_grad=True)
    torch.stack(point_losses(logits, truth, seeded(), 2000)).sum().backward()
    assert logits.grad is not None
    assert (logits.grad[0, :, 5:] < 0).all()
    assert (logits.grad[0, :, :3] > 0).all()


def test_the_class_loss_is_a_mean_weighted_by_class() -> None:
    """A wrong class costs log(1 + e) whether or not much background is right beside it."""
    scores = torch.tensor([[0.0, 1.0, 0.0], *[[0.0, 0.0, 0.0]] * 10])
    classes = torch.tensor([0] + [2] * 10)
    single = class_loss(scores[:1], classes[:1], 0.1)
    background = torch.tensor(3.0).log()
    torch.testing.assert_close(class_loss(scores, classes, 0.1), (single + background) / 2)
