from __future__ import annotations

import torch

from ovsam_plugin.training.losses import mask_loss, name_loss

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
