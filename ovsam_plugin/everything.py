"""No prompt given: where to look, which answers to keep."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import box_iou

from ovsam_plugin.instances import Instances
from ovsam_plugin.predictor import CHUNK, Decoded, Encoding, Predictor
from ovsam_plugin.prompts import Box, Grid, Prompt

# A point is a vague prompt: what it finds is only where to look, kept while boxes differ.
MAX_CANDIDATES = 48
CANDIDATE_OVERLAP = 0.8
MAX_OVERLAP = 0.6
# A part lies inside the box of its whole by this share, and their embeddings are this near.
PART_INSIDE = 0.8
PART_LIKENESS = 0.7
# Shares of the photograph: smaller answers are specks, larger ones its background.
MIN_AREA, MAX_AREA = 0.0004, 0.95


def find_everything(
    predictor: Predictor, encoding: Encoding, grid: Grid | None = None, chunk: int = CHUNK
) -> Instances:
    """Instances all over a photograph, those most sure to be things first.

    First it is found out where to look: the network's own box proposals if it has a head for them
    and no grid is given, else the answers to a lattice of points. Each place is then asked for by
    its box, which is a clearer prompt than a point. Stable answers stay, of overlapping ones the
    first, and parts that look like their whole are left out.

    Args:
        predictor: that encoded the photograph.
        encoding: of the photograph.
        grid: a lattice to look from; as the preset does when not given.
        chunk: prompts decoded at once.
    """
    preset = predictor.preset
    if grid is None and predictor.network.objectness is not None:
        boxes = predictor.propose(encoding, MAX_CANDIDATES)
    else:
        grid = grid or Grid(preset.everything_points)
        boxes = _boxes_from_points(predictor, encoding, grid, chunk)
    found = _answers(predictor, encoding, boxes, chunk, preset.min_stability)
    order = distinct(found, range(len(found.prompts)), MAX_OVERLAP)
    instances = predictor.finish(encoding, found[wholes(found, order)])
    return instances[~instances.empty]


def _boxes_from_points(
    predictor: Predictor, encoding: Encoding, grid: Grid, chunk: int
) -> list[Box]:
    height, width = encoding.frame.original_size
    candidates = _answers(predictor, encoding, grid.points(width, height), chunk)
    stablest = torch.argsort(candidates.stability, descending=True, stable=True).tolist()
    order = distinct(candidates, stablest, CANDIDATE_OVERLAP)[:MAX_CANDIDATES]
    corners = candidates.boxes[order].numpy() * np.tile(4 / encoding.frame.scale, 2)
    corners = np.clip(corners, 0, [width, height] * 2)
    return [Box((*box,)) for box in corners.tolist() if box[2] > box[0] and box[3] > box[1]]


def _answers(
    predictor: Predictor,
    encoding: Encoding,
    prompts: Sequence[Prompt],
    chunk: int,
    min_stability: float = 0.0,
) -> Decoded:
    """The answers worth keeping, judged a chunk at a time so that memory stays bounded."""
    h, w = encoding.frame.size
    cells = h * w / 16
    kept = [predictor.nothing()]
    for _, decoded in predictor.decode_chunks(encoding, prompts, chunk):
        share = (decoded.logits > 0).sum((1, 2)) / cells
        good = (decoded.stability >= min_stability) & (share >= MIN_AREA) & (share <= MAX_AREA)
        kept.append(decoded[torch.nonzero(good).squeeze(1).tolist()])
    return Decoded.concatenate(kept)


def distinct(decoded: Decoded, order: Sequence[int], max_overlap: float) -> list[int]:
    """Greedy suppression by mask IoU.

    Args:
        decoded: N answers.
        order: their indices, the best first.
        max_overlap: mask IoU with a better one above which an answer is dropped.

    Returns:
        The indices of those that stay, in their order.
    """
    masks = decoded.logits > 0
    near = box_iou(decoded.boxes.float(), decoded.boxes.float()).gt(0).tolist()
    kept: list[int] = []
    for i in order:
        rivals = [j for j in kept if near[i][j]]
        if not rivals or float(mask_iou(masks[i], masks[rivals]).max()) <= max_overlap:
            kept.append(i)
    return kept


def wholes(decoded: Decoded, order: Sequence[int]) -> list[int]:
    """Without answers that are a part of a larger one and look like it, as an ear like its cat.

    Args:
        decoded: answers.
        order: the indices to choose from.

    Returns:
        Those of `order` that stay, in its order.
    """
    masks = decoded.logits[list(order)] > 0
    areas = masks.sum((1, 2))
    head = decoded.embeddings.head[list(order)]
    alike = head @ head.T >= PART_LIKENESS
    dropped = set()
    for i, (x1, y1, x2, y2) in enumerate(decoded.boxes[list(order)].tolist()):
        inside = masks[:, y1:y2, x1:x2].sum((1, 2)) >= PART_INSIDE * areas
        parts = inside & alike[i] & (areas < areas[i])
        dropped.update(torch.nonzero(parts).squeeze(1).tolist())
    return [index for i, index in enumerate(order) if i not in dropped]


def mask_iou(mask: Tensor, others: Tensor) -> Tensor:
    """IoU of one (h, w) bool mask with each of (M, h, w): (M,) float32."""
    overlap = (mask & others).sum((1, 2))
    union = (mask | others).sum((1, 2))
    return overlap / union.clamp(min=1)
