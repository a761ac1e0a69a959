"""No prompt given: where to look, which answers to keep."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import box_iou

from ovsam_plugin.instances import Instances
from ovsam_plugin.predictor import CHUNK, Decoded, Encoding, Predictor
from ovsam_plugin.prompts import Box, Grid, Prompt

MIN_STABILITY = 0.75
MAX_OVERLAP = 0.6
# Shares of the photograph: smaller answers are specks, larger ones its background.
MIN_AREA, MAX_AREA = 0.0004, 0.9


def find_everything(
    predictor: Predictor, encoding: Encoding, grid: Grid | None = None, chunk: int = CHUNK
) -> Instances:
    """Instances all over a photograph, most stable first.

    Each point of the lattice is answered; what is unstable, tiny or nearly the whole photograph is
    dropped; each rest is asked for again by its own box, which is a clearer prompt than the point;
    then of answers that overlap only the most stable stays.

    Args:
        predictor: that encoded the photograph.
        encoding: of the photograph.
        grid: where to look; the preset's own density when not given.
        chunk: prompts decoded at once.
    """
    grid = grid or Grid(predictor.preset.everything_points)
    height, width = encoding.frame.original_size
    found = _stable(predictor, encoding, grid.points(width, height), chunk)
    if found is not None:
        found = found[distinct(found, 0.85)]
        cell = 4 / encoding.frame.scale
        corners = found.boxes.numpy() * np.tile(cell, 2)
        corners = np.clip(corners, 0, [width, height, width, height])
        boxes = [Box(tuple(b)) for b in corners.tolist() if b[2] > b[0] and b[3] > b[1]]
        found = _stable(predictor, encoding, boxes, chunk)
    if found is None:
        return Instances.none(encoding.frame.original_size, predictor.network.description.embed_dim)
    instances = predictor.finish(encoding, found[distinct(found, MAX_OVERLAP)])
    return instances[~instances.empty]


def _stable(
    predictor: Predictor, encoding: Encoding, prompts: list[Box] | tuple[Prompt, ...], chunk: int
) -> Decoded | None:
    """The answers worth keeping, a chunk at a time so that memory stays bounded."""
    h, w = encoding.frame.size
    cells = h * w / 16
    kept = []
    for _, decoded in predictor.decode_chunks(encoding, prompts, chunk):
        share = (decoded.logits > 0).sum((1, 2)) / cells
        good = (decoded.stability >= MIN_STABILITY) & (share >= MIN_AREA) & (share <= MAX_AREA)
        if good.any():
            kept.append(decoded[torch.nonzero(good).squeeze(1).tolist()])
    return Decoded.concatenate(kept) if kept else None


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
    near = box_iou(decoded.boxes.float(), decoded.boxes.float()) > 0
    kept: list[int] = []
    for i in order:
        rivals = [j for j in kept if near[i, j]]
        if not rivals or float(mask_iou(masks[i], masks[rivals]).max()) <= max_overlap:
            kept.append(i)
    return kept


def mask_iou(mask: Tensor, others: Tensor) -> Tensor:
    """IoU of one (h, w) bool mask with each of (M, h, w): (M,) float32."""
    overlap = (mask & others).sum((1, 2))
    union = (mask | others).sum((1, 2))
    return overlap / union.clamp(min=1)
