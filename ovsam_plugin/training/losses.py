"""What training compares: masks with masks, embeddings with names."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import roi_align


def mask_loss(logits: Tensor, targets: Tensor, boxes: Tensor, stride: int) -> Tensor:
    """Cross-entropy near the object plus soft dice.

    Args:
        logits: (N, 1, h, w).
        targets: (N, h, w) float, share of each cell that the mask covers.
        boxes: (N, 4) xyxy in input pixels, the target's own.
        stride: input pixels a cell.

    Returns:
        A scalar: the mean over instances of both terms, equally weighted.
    """
    logits = logits[:, 0].float()
    n, h, w = logits.shape
    y = (torch.arange(h, device=logits.device) + 0.5) * stride
    x = (torch.arange(w, device=logits.device) + 0.5) * stride
    x1, y1, x2, y2 = (v[:, None] for v in boxes.unbind(1))
    grow_x, grow_y = 0.5 * (x2 - x1) + stride, 0.5 * (y2 - y1) + stride
    near_x = (x > x1 - grow_x) & (x < x2 + grow_x)
    near_y = (y > y1 - grow_y) & (y < y2 + grow_y)
    # Far cells are many and easy; without the weight they drown small objects.
    weight = torch.where(near_y[:, :, None] & near_x[:, None, :], 1.0, 0.05)
    entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    entropy = (entropy * weight).sum((1, 2)) / weight.sum((1, 2))
    soft = logits.sigmoid()
    overlap = (soft * targets).sum((1, 2))
    dice = 1 - (2 * overlap + 1) / (soft.sum((1, 2)) + targets.sum((1, 2)) + 1)
    return (entropy + dice).mean()


def name_loss(embeddings: Tensor, classes: Tensor, texts: Tensor, scale: float) -> Tensor:
    """Cross-entropy over classes and a background whose logit is 0.

    Args:
        embeddings: (N, D), not normalised.
        classes: (N,) int64 in 0..K, K being the background.
        texts: (K, D) unit text embeddings.
        scale: of the cosines.

    Returns:
        A scalar; the background's terms weigh a tenth, as in the paper.
    """
    logits = F.pad(scale * F.normalize(embeddings.float(), dim=-1) @ texts.T, (0, 1))
    weight = logits.new_ones(logits.shape[1])
    weight[-1] = 0.1
    return F.cross_entropy(logits, classes, weight=weight, label_smoothing=0.05)


def region_loss(logits: Tensor, masks: Tensor, windows: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy plus soft dice inside windows, and how well the masks fit.

    Args:
        logits: (N, R, R), each over its own window.
        masks: (N, S, S) bool, the truth on the whole crop.
        windows: (N, 4) xyxy in pixels of the crop.

    Returns:
        (N,) losses and (N,) IoU without a gradient, the truth outside the window counted as missed.
    """
    n, size = logits.shape[:2]
    truth = masks.to(logits.dtype)[:, None]
    rois = torch.cat([torch.arange(n, device=logits.device)[:, None], windows], 1)
    target = roi_align(truth, rois.to(logits.dtype), size, 1.0, 2, aligned=True)[:, 0]
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none").mean((1, 2))
    soft = logits.sigmoid()
    overlap = (soft * target).sum((1, 2))
    dice = 1 - (2 * overlap + 1) / (soft.sum((1, 2)) + target.sum((1, 2)) + 1)
    with torch.no_grad():
        drawn = (logits > 0).to(target.dtype)
        cell = (windows[:, 2:] - windows[:, :2]).prod(1) / size**2
        both = (drawn * target).sum((1, 2)) * cell
        either = drawn.sum((1, 2)) * cell + truth.sum((1, 2, 3)) - both
        iou = (both / either.clamp(min=1e-6)).clamp(0, 1)
    return entropy + dice, iou


def box_iou_paired(a: Tensor, b: Tensor) -> Tensor:
    """(N,) IoU of each xyxy box with the one of the same index."""
    overlap = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0)
    shared = overlap.prod(1)
    areas = (a[:, 2:] - a[:, :2]).clamp(min=0).prod(1) + (b[:, 2:] - b[:, :2]).clamp(min=0).prod(1)
    return shared / (areas - shared).clamp(min=1e-6)
