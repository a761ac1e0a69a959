"""The losses of CLIP2SAM's joint training: names by cross-entropy, masks on uncertain points.

Dice, cross-entropy and reading of masks at points are those of transformers' Mask2Former, which are
the reference's formulas; the choice of points is ours, since it has to be seeded.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.models.mask2former.modeling_mask2former import (
    dice_loss,
    sample_point,
    sigmoid_cross_entropy_loss,
)

# Points a mask, how many are drawn to choose from, and the share that is chosen (arXiv 1912.08193).
POINTS, OVERSAMPLED, IMPORTANT = 12_544, 3.0, 0.75


def class_loss(scores: Tensor, classes: Tensor, background: float) -> Tensor:
    """Cross-entropy, a weighted mean over instances.

    Args:
        scores: (N, K + 1) logits, the background's last.
        classes: (N,) int64 in 0..K.
        background: weight of the background; classes weigh 1.
    """
    weight = scores.new_ones(scores.shape[1])
    weight[-1] = background
    return F.cross_entropy(scores, classes, weight=weight)


def uncertain_points(logits: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Where masks are compared: mostly where they are least sure, else anywhere.

    Args:
        logits: (N, h, w).
        count: points a mask.
        generator: on the CPU, of the random places.

    Returns:
        (N, count, 2) float32 places (x, y) in 0..1.
    """
    n, drawn = len(logits), int(count * OVERSAMPLED)
    places = torch.rand(n, drawn, 2, generator=generator).to(logits.device)
    important = int(count * IMPORTANT)
    sure = sample_point(logits.detach()[:, None].float(), places, align_corners=False)[:, 0].abs()
    nearest = sure.topk(important, dim=1, largest=False).indices
    chosen = places.gather(1, nearest[..., None].expand(-1, -1, 2))
    anywhere = torch.rand(n, count - important, 2, generator=generator).to(logits.device)
    return torch.cat([chosen, anywhere], 1)


def point_losses(
    logits: Tensor, masks: Tensor, generator: torch.Generator, count: int = POINTS
) -> tuple[Tensor, Tensor]:
    """Binary cross-entropy and dice of masks on their uncertain points.

    Args:
        logits: (N, h, w).
        masks: (N, S, S) bool, the truth at any size.
        generator: of the points.
        count: points a mask.

    Returns:
        The means of both over the N masks.
    """
    places = uncertain_points(logits, count, generator)
    read = sample_point(logits[:, None].float(), places, align_corners=False)[:, 0]
    with torch.no_grad():
        truth = sample_point(masks[:, None].float(), places, align_corners=False)[:, 0]
    n = len(logits)
    return sigmoid_cross_entropy_loss(read, truth, n), dice_loss(read, truth, n)
