"""No prompt given: where to look, which answers to keep."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
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
# Shares of the photograph: smaller answers are specks, larger ones its background.
MIN_AREA, MAX_AREA = 0.0004, 0.9


def find_everything(
    predictor: Predictor, encoding: Encoding, grid: Grid | None = None, chunk: int = CHUNK
) -> Instances:
    """Instances all over a photograph, most stable first.

    Each point of the lattice is answered; the most stable distinct answers, specks and backgrounds
    left out, are asked for again by their own boxes, which are clearer prompts than points; of
    those answers the stable ones stay, and of overlapping ones the most stable.

    Args:
        predictor: that encoded the photograph.
        encoding: of the photograph.
        grid: where to look; the preset's own density when not given.
        chunk: prompts decoded at once.
    """
    preset = predictor.preset
    grid = grid or Grid(preset.everything_points)
    height, width = encoding.frame.original_size
    candidates = _answers(predictor, encoding, grid.points(width, height), chunk)
    order = distinct(candidates, CANDIDATE_OVERLAP)[:MAX_CANDIDATES]
    cell = np.tile(4 / encoding.frame.scale, 2)
    corners = candidates.boxes[order].numpy() * cell
    boxes = [Box(tuple(b)) for b in np.clip(corners, 0, [width, height] * 2) if _has_area(b)]
    found = _answers(predictor, encoding, boxes, chunk, preset.min_stability)
    instances = predictor.finish(encoding, found[distinct(found, MAX_OVERLAP)])
    return instances[~instances.empty]


def _has_area(box: npt.NDArray[np.float64]) -> bool:
    return bool(box[2] > box[0] and box[3] > box[1])


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


def distinct(decoded: Decoded, max_overlap: float) -> list[int]:
    """Greedy suppression by mask IoU, most stable first.

    Args:
        decoded: N answers.
        max_overlap: mask IoU above which the less stable one is dropped.

    Returns:
        The indices of those that stay, most stable first.
    """
    masks = decoded.logits > 0
    order = torch.argsort(decoded.stability, descending=True, stable=True).tolist()
    near = box_iou(decoded.boxes.float(), decoded.boxes.float()).gt(0).tolist()
    kept: list[int] = []
    for i in order:
        rivals = [j for j in kept if near[i][j]]
        if not rivals or float(mask_iou(masks[i], masks[rivals]).max()) <= max_overlap:
            kept.append(i)
    return kept


def mask_iou(mask: Tensor, others: Tensor) -> Tensor:
    """IoU of one (h, w) bool mask with each of (M, h, w): (M,) float32."""
    overlap = (mask & others).sum((1, 2))
    union = (mask | others).sum((1, 2))
    return overlap / union.clamp(min=1)
