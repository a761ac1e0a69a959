"""What the objectness head learns: which cells are on a thing, and the box of it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import generalized_box_iou_loss, nms, roi_align

from ovsam_plugin.network.feature_pyramid import STRIDES
from ovsam_plugin.network.objectness import LEVELS, SIDES, Proposals, cell_centres
from ovsam_plugin.network.ovsam import OVSAM, Features
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


def objectness_loss(
    logits: Tensor, boxes: Tensor, truth: Tensor, target: Tensor, known: Tensor
) -> Tensor:
    """Quality focal loss and generalised IoU loss of one image.

    The objectness to learn is the IoU that the cell's own box reaches (arXiv 2006.04388).

    Args:
        logits: (M,).
        boxes: (M, 4) predicted.
        truth: (N, 4).
        target: (M,) from `assign`.
        known: (M,) bool, cells where a thing would have been annotated; others that no instance
            answers for are not taught.
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
    focus = (logits.detach().sigmoid() - quality).square() * (positive | known)
    return (entropy * focus).sum() / positive.sum().clamp(min=1) + fit


def known_cells(unknown: Tensor) -> Tensor:
    """(M,) bool in the order of `Proposals`: cells whose middle is not on the (S, S) bool map."""
    size, known = unknown.shape[-1], []
    for level in LEVELS:
        cells = size // STRIDES[level]
        x, y = cell_centres(cells, cells, STRIDES[level], unknown.device).long().unbind(1)
        known.append(~unknown[y, x])
    return torch.cat(known)


def surest(
    logits: Tensor, boxes: Tensor, count: int, others: int, generator: torch.Generator
) -> Tensor:
    """The best proposals of one image that differ, and a few of the next, as (K, 4) boxes.

    Args:
        logits: (M,).
        boxes: (M, 4) xyxy, inside the image.
        count: of the best.
        others: chosen at random among those behind them.
    """
    sides = (boxes[:, 2:] - boxes[:, :2]).amin(1)
    scores = logits.detach().float() - 100 * (sides < 4)
    best = scores.topk(min(400, len(scores))).indices
    kept = best[nms(boxes[best].detach().float(), scores[best], 0.7)]
    rest = kept[count:]
    chosen = torch.randperm(len(rest), generator=generator)[:others].to(rest.device)
    return boxes[torch.cat([kept[:count], rest[chosen]])].detach()


def share_inside(where: Tensor, boxes: Tensor) -> Tensor:
    """(N,) the share of each xyxy box that lies on an (S, S) bool map."""
    rois = F.pad(boxes.float(), (1, 0))
    seen: Tensor = roi_align(where.float()[None, None], rois, 7, 1.0, 4, aligned=True)
    return seen.mean((1, 2, 3))


def propose(network: OVSAM, features: Features) -> Proposals:
    """What may be a thing, with boxes that regions can be cut out by.

    Raises:
        FloatingPointError: they are not finite; torchvision's roi_align would then read whatever
            memory there is.
    """
    assert network.objectness is not None
    proposals: Proposals = network.objectness(features.image, features.pyramid)
    if not torch.isfinite(proposals.boxes).all():
        raise FloatingPointError("a box that the network proposes is not finite")
    return proposals
