"""Masks for clicks: the first chooses a thing, and every further one is obeyed."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ovsam_plugin.network.objectness import LEVELS, Proposals, cells_at
from ovsam_plugin.network.prompt_encoder import PromptBatch
from ovsam_plugin.network.region_masks import (
    BINS,
    RegionFeatures,
    RegionMaskHead,
    RegionMasks,
    windows,
)

# Cells along the window of a mask that several clicks have made: it may be of several windows.
_CELLS = 4 * BINS
# Logit of what lies outside a mask's window, and of what a click alone decides.
_SURE = 8.0
# Radius of what a click changes where no mask under it does, as a share of the window's side.
_SPOT = 0.1
# Input pixels that the window reaches beyond a point on the thing.
_ROOM = 4.0


def answer_clicks(
    head: RegionMaskHead, regions: RegionFeatures, prompts: PromptBatch, proposals: Proposals
) -> tuple[RegionMasks, Tensor]:
    """One mask for each of N prompts of P points that has every point as it was set.

    It begins with the answer to the first point on the thing. Each further point that the mask has
    wrong adds, or takes away, the answer to that point alone, as far as it lies nearer to it than
    to any point of the other kind: so what was right stays right.

    Args:
        head: that draws.
        regions: of one image.
        prompts: N prompts of points, in input pixels, each with one that is on the thing.
        proposals: of the same image.

    Returns:
        The masks, quality and thing being the first point's, and their (N, 4) windows.
    """
    points, labels = prompts.points, prompts.point_labels
    assert points is not None
    assert labels is not None
    n, count = labels.shape
    answers, frames = _answer_each(head, regions, points.flatten(0, 1), proposals)
    first = (labels == 1).float().argmax(1) + torch.arange(n, device=labels.device) * count
    chosen = RegionMasks(*(field[first] for field in answers))
    if count == 1:
        return chosen, frames[first]

    on = labels == 1
    own = frames.view(n, count, 4)
    low, high = own[..., :2].minimum(points - _ROOM), own[..., 2:].maximum(points + _ROOM)
    added = torch.cat([low, high], -1).where(on[..., None], frames[first][:, None])
    window = torch.cat([added[..., :2].amin(1), added[..., 2:].amax(1)], 1)
    places = _cell_centres(window)
    distance = (places[:, None] - points[:, :, None, None]).norm(dim=-1)
    spot = distance < (window[:, 2:] - window[:, :2]).amin(1)[:, None, None, None] * _SPOT
    mask = _sample(chosen.logits, frames[first], places)
    for j in range(count):
        wrong = (_sample(mask, window, points[:, None, j : j + 1])[:, 0, 0] > 0) != on[:, j]
        part = _sample(answers.logits.view(n, count, 2 * BINS, 2 * BINS)[:, j], own[:, j], places)
        others = (on != on[:, j : j + 1])[..., None, None]
        nearer = distance[:, j] < distance.where(others, distance.new_tensor(torch.inf)).amin(1)
        part = part.where(~spot[:, j], _SURE).where(nearer, -_SURE)
        changed = torch.where(on[:, j, None, None], mask.maximum(part), mask.minimum(-part))
        mask = changed.where(wrong[:, None, None], mask)
    return chosen._replace(logits=mask), window


def _answer_each(
    head: RegionMaskHead, regions: RegionFeatures, points: Tensor, proposals: Proposals
) -> tuple[RegionMasks, Tensor]:
    """Of one mask for each size of thing that may lie under a point, the best.

    Args:
        head, regions, proposals: as for `answer_clicks`.
        points: (M, 2) in input pixels.

    Returns:
        M masks, their quality made 0..1 and multiplied by whether they hold the point, and their
        (M, 4) windows.
    """
    h, w = regions.levels[0].shape[-2:]
    boxes = proposals.boxes[0][cells_at(points, (4 * h, 4 * w)).flatten()]
    asked = PromptBatch(points=points[:, None], point_labels=points.new_ones(len(points), 1))
    told = asked.repeat(len(LEVELS))
    assert told.points is not None
    drawn, frames = head(regions, boxes, prompts=told), windows(boxes)
    holds = _sample(drawn.logits, frames, told.points[:, None])[:, 0, 0] > 0
    score = drawn.quality.sigmoid() * holds
    best = score.view(-1, len(LEVELS)).argmax(1)
    best = best + torch.arange(len(points), device=best.device) * len(LEVELS)
    return RegionMasks(drawn.logits[best], score[best], drawn.thing[best].sigmoid()), frames[best]


def _cell_centres(window: Tensor) -> Tensor:
    """(N, 4) windows -> (N, _CELLS, _CELLS, 2) x, y in input pixels."""
    line = (torch.arange(_CELLS, device=window.device) + 0.5) / _CELLS
    corner, side = window[:, None, :2], window[:, None, 2:] - window[:, None, :2]
    x, y = (corner + line[:, None] * side).unbind(-1)
    shape = (-1, _CELLS, _CELLS)
    return torch.stack([x[:, None, :].expand(shape), y[:, :, None].expand(shape)], -1)


def _sample(logits: Tensor, frames: Tensor, places: Tensor) -> Tensor:
    """Mask logits at places of the image; surely off outside the masks' windows.

    Args:
        logits: (N, h, w), each over its own window.
        frames: (N, 4) the windows.
        places: (N, a, b, 2) x, y in input pixels.

    Returns:
        (N, a, b).
    """
    corner, side = frames[:, None, None, :2], (frames[:, 2:] - frames[:, :2])[:, None, None]
    grid = (places - corner) / side * 2 - 1
    return F.grid_sample((logits + _SURE)[:, None], grid, align_corners=False)[:, 0] - _SURE
