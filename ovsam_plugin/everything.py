"""No prompt given: where to look, which answers to keep."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import box_iou, nms

from ovsam_plugin.decoded import Decoded
from ovsam_plugin.instances import Instances
from ovsam_plugin.network.objectness import Proposals
from ovsam_plugin.predictor import CHUNK, Encoding, Predictor
from ovsam_plugin.prompts import Box, Grid, Prompt

# A point is a vague prompt: what it finds is only where to look, kept while boxes differ.
MAX_CANDIDATES = 160
CANDIDATE_OVERLAP = 0.8
MAX_OVERLAP = 0.7
# Of proposed boxes: how likely a thing, how many are compared, how much two may overlap.
MIN_OBJECTNESS, MOST_COMPARED, PROPOSAL_OVERLAP = 0.02, 1000, 0.6
# Masks are compared on a grid of this many input pixels a cell.
COMPARED_STRIDE = 4
# Answers a photograph.
MOST = 100
# A part lies inside the box of its whole by this share, and their embeddings are this near.
PART_INSIDE = 0.8
PART_LIKENESS = 0.7
WHOLE_SURER = 1.5
# Shares of the photograph: smaller answers are specks, larger ones its background.
MIN_AREA, MAX_AREA = 0.0004, 0.95


def find_everything(
    predictor: Predictor, encoding: Encoding, grid: Grid | None = None, chunk: int = CHUNK
) -> Instances:
    """Instances all over a photograph, those most sure to be things first.

    First it is found out where to look: the network's own proposals if it has a head for them and
    no grid is given, else the answers to a lattice of points. Each place is then asked for by its
    box, which is a clearer prompt than a point. Good answers stay, and of overlapping ones the
    first; parts that look like their whole are left out.

    Args:
        predictor: that encoded the photograph.
        encoding: of the photograph.
        grid: a lattice to look from; as the preset does when not given.
        chunk: prompts decoded at once.
    """
    preset = predictor.preset
    proposals = predictor.proposals(encoding) if grid is None else None
    if proposals is not None:
        boxes, likely = _boxes_from_proposals(encoding, proposals)
    else:
        grid = grid or Grid(preset.everything_points)
        boxes = _boxes_from_points(predictor, encoding, grid, chunk)
        likely = torch.ones(len(boxes))
    found, asked = _answers(predictor, encoding, boxes, chunk, preset.min_quality)
    surest = found.quality * likely[asked]
    order = torch.argsort(surest, descending=True, stable=True).tolist()
    masks = on_grid(found, encoding)
    order = distinct(found, masks, order, MAX_OVERLAP)
    order = wholes(found, masks, order, surest if proposals is not None else None)
    instances = predictor.finish(encoding, found[order[:MOST]])
    return instances[~instances.empty]


def on_grid(found: Decoded, encoding: Encoding) -> Tensor:
    """(N, h, w) bool: the masks side by side, at a stride that keeps small things apart."""
    return found.on_grid(encoding.frame.size, COMPARED_STRIDE)


def _boxes_from_proposals(encoding: Encoding, proposals: Proposals) -> tuple[list[Box], Tensor]:
    """Boxes in pixels of the original photograph, and how likely each is to hold a thing."""
    boxes, scores = proposals.boxes[0], proposals.logits[0].sigmoid()
    sides = boxes[:, 2:] - boxes[:, :2]
    likely = torch.nonzero((scores >= MIN_OBJECTNESS) & (sides >= 2).all(1)).squeeze(1)
    likely = likely[scores[likely].argsort(descending=True, stable=True)[:MOST_COMPARED]]
    kept = likely[nms(boxes[likely], scores[likely], PROPOSAL_OVERLAP)[:MAX_CANDIDATES]]
    corners = boxes[kept].cpu().double() / torch.from_numpy(np.tile(encoding.frame.scale, 2))
    return [Box((*box,)) for box in corners.tolist()], scores[kept].cpu()


def _boxes_from_points(
    predictor: Predictor, encoding: Encoding, grid: Grid, chunk: int
) -> list[Box]:
    height, width = encoding.frame.original_size
    candidates, _ = _answers(predictor, encoding, grid.points(width, height), chunk)
    best = torch.argsort(candidates.quality, descending=True, stable=True).tolist()
    masks = on_grid(candidates, encoding)
    order = distinct(candidates, masks, best, CANDIDATE_OVERLAP)[:MAX_CANDIDATES]
    corners = candidates.boxes[order].numpy() / np.tile(encoding.frame.scale, 2)
    corners = np.clip(corners, 0, [width, height] * 2)
    return [Box((*box,)) for box in corners.tolist() if box[2] > box[0] and box[3] > box[1]]


def _answers(
    predictor: Predictor,
    encoding: Encoding,
    prompts: Sequence[Prompt],
    chunk: int,
    min_quality: float = 0.0,
) -> tuple[Decoded, Tensor]:
    """The answers worth keeping and which prompts they answer.

    They are judged a chunk at a time so that memory stays bounded.
    """
    h, w = encoding.frame.size
    kept, asked = [predictor.nothing()], [torch.zeros(0, dtype=torch.int64)]
    for indices, decoded in predictor.decode_chunks(encoding, prompts, chunk):
        frames = decoded.windows
        share = (decoded.logits > 0).float().mean((1, 2)) * (frames[:, 2:] - frames[:, :2]).prod(1)
        share = share / (h * w)
        good = (decoded.quality >= min_quality) & (share >= MIN_AREA) & (share <= MAX_AREA)
        rows = torch.nonzero(good).squeeze(1)
        kept.append(decoded[rows.tolist()])
        asked.append(torch.as_tensor(indices)[rows])
    return Decoded.concatenate(kept), torch.cat(asked)


def distinct(
    decoded: Decoded, masks: Tensor, order: Sequence[int], max_overlap: float
) -> list[int]:
    """Greedy suppression by mask IoU.

    Args:
        decoded: N answers.
        masks: (N, h, w) bool, theirs on one grid.
        order: their indices, the best first.
        max_overlap: mask IoU with a better one above which an answer is dropped.

    Returns:
        The indices of those that stay, in their order.
    """
    near = box_iou(decoded.boxes, decoded.boxes).gt(0).tolist()
    kept: list[int] = []
    for i in order:
        rivals = [j for j in kept if near[i][j]]
        if not rivals or float(mask_iou(masks[i], masks[rivals]).max()) <= max_overlap:
            kept.append(i)
    return kept


def wholes(
    decoded: Decoded, masks: Tensor, order: Sequence[int], surest: Tensor | None = None
) -> list[int]:
    """Without answers that are a part of a larger one and look like it, as an ear like its cat.

    Args:
        decoded: N answers.
        masks: (N, h, w) bool, theirs on one grid.
        order: the indices to choose from.
        surest: (N,) how sure each is to be a thing: a whole then has to be the surer one by
            `WHOLE_SURER`, or a crowd would hide its people.

    Returns:
        Those of `order` that stay, in its order.
    """
    chosen = list(order)
    head = decoded.embeddings.head[chosen]
    cells = masks[chosen].flatten(1).float()
    areas = cells.sum(1)
    # Row i: how much of each other answer lies on answer i.
    inside = cells @ cells.T >= PART_INSIDE * areas
    parts = inside & (head @ head.T >= PART_LIKENESS) & (areas[None] < areas[:, None])
    if surest is not None:
        parts &= surest[chosen][:, None] >= WHOLE_SURER * surest[chosen][None]
    dropped = parts.any(0).tolist()
    return [index for i, index in enumerate(chosen) if not dropped[i]]


def mask_iou(mask: Tensor, others: Tensor) -> Tensor:
    """IoU of one (h, w) bool mask with each of (M, h, w): (M,) float32."""
    overlap = (mask & others).sum((1, 2))
    union = (mask | others).sum((1, 2))
    return overlap / union.clamp(min=1)
