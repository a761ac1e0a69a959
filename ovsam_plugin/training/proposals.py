"""What the objectness head learns: which cells are on a thing, and the box of it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import generalized_box_iou_loss

from ovsam_plugin.network.feature_pyramid import STRIDES
from ovsam_plugin.network.objectness import LEVELS, SIDES, cell_centres
from ovsam_plugin.training.losses import box_iou_paired


def assign(boxes: Tensor, masks: Tensor) -> Tensor:
    """Which instance each cell of each level answers for.

    Args:
        boxes: (N, 4) xyxy in input pixels.
        masks: (N, S, S) bool.

    Returns:
        (M,) int64 in the order of `Proposals`: of the instances of the level's sizes that have the
        cell's middle on their mask, or in the middle half of their box, the smallest; -1 for none.
        The cell nearest to the middle of an instance is always its own.
    """
    size = masks.shape[-1]
    sides = boxes[:, 2:] - boxes[:, :2]
    order = torch.argsort(sides.prod(1), descending=True).tolist()
    targets = []
    for level, (low, high) in zip(LEVELS, SIDES):
        stride = STRIDES[level]
        cells = size // stride
        centres = cell_centres(cells, cells, stride, boxes.device)
        x, y = centres.long().unbind(1)
        target = torch.full((len(centres),), -1, device=boxes.device)
        for i in order:
            if not low <= float(sides[i].max()) < high:
                continue
            away = (centres - (boxes[i, :2] + boxes[i, 2:]) / 2).abs()
            own = masks[i, y, x] | (away <= sides[i] / 4).all(1)
            own[away.square().sum(1).argmin()] = True
            target[own] = i
        targets.append(target)
    return torch.cat(targets)


def objectness_loss(logits: Tensor, boxes: Tensor, truth: Tensor, target: Tensor) -> Tensor:
    """Quality focal loss and generalised IoU loss of one image.

    The objectness to learn is the IoU that the cell's own box reaches (arXiv 2006.04388).

    Args:
        logits: (M,).
        boxes: (M, 4) predicted.
        truth: (N, 4).
        target: (M,) from `assign`.
    """
    positive = target >= 0
    quality = torch.zeros_like(logits)
    fit = logits.sum() * 0
    if positive.any():
        wanted = truth[target[positive]]
        found = boxes[positive]
        quality[positive] = box_iou_paired(found.detach(), wanted)
        # Each instance counts alike, however many cells it covers.
        share = 1 / torch.bincount(target[positive], minlength=len(truth))[target[positive]]
        errors = generalized_box_iou_loss(found, wanted, reduction="none")
        fit = (errors * share).sum() / share.sum()
    entropy = F.binary_cross_entropy_with_logits(logits, quality, reduction="none")
    focus = (logits.detach().sigmoid() - quality).square()
    return (entropy * focus).sum() / positive.sum().clamp(min=1) + fit
