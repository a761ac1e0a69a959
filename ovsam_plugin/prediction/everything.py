"""No prompt given: where to look, and which answers are worth a name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import nms

from ovsam_plugin.images.frame import Frame, Tile
from ovsam_plugin.network.objectness import Proposals
from ovsam_plugin.prediction.choosing import distinct, overlaps
from ovsam_plugin.prediction.decoded import Decoded
from ovsam_plugin.prediction.predictor import CHUNK, Encoding, Predictor
from ovsam_plugin.prediction.prompts import Box, Grid, Prompt
from ovsam_plugin.prediction.proposing import proposals_of_all_sizes, to_boxes

# A point is a vague prompt: what it finds is only where to look, kept while boxes differ.
MAX_CANDIDATES = 160
CANDIDATE_OVERLAP = 0.8
# Of proposed boxes: how likely a thing, how many are compared, how much two that are drawn may
# overlap.
MIN_LIKELY, MOST_COMPARED, PROPOSAL_OVERLAP = 0.02, 600, 0.7
# How many are drawn: the best answers are among the first; who wants all candidates, and the small
# things with them, has more.
MOST_DRAWN, DRAWN_FOR_ALL = 64, 160
# Of two masks that overlap by more, one is the other again.
SAME = 0.8
# Masks are compared on a grid of this many input pixels a cell.
COMPARED_STRIDE = 4
# Answers a photograph.
MOST = 100
# An answer that ends this near to the edge of a tile, in input pixels, may go on behind it.
EDGE = 3
# Shares of the photograph: smaller answers are specks, larger ones its background.
MIN_AREA, MAX_AREA = 0.0002, 0.95


def find_everything(
    predictor: Predictor,
    encoding: Encoding,
    grid: Grid | None = None,
    chunk: int = CHUNK,
    drawn: int = MOST_DRAWN,
) -> tuple[Decoded, Tensor]:
    """Candidates all over a photograph, those most surely things first, no two the same.

    First it is found out where to look: the network's own proposals if it has a head for them and
    no grid is given, else the answers to a lattice of points. Each place is then asked for by its
    box, which is a clearer prompt than a point. Which candidates become instances is for
    `choosing` to say, once they have names.

    Args:
        predictor: that encoded the photograph.
        encoding: of the photograph.
        grid: a lattice to look from; as the preset does when not given.
        chunk: prompts decoded at once.
        drawn: the most of the network's proposals that are drawn.

    Returns:
        At most `MOST` answers with embeddings, and their masks side by side, (N, h, w) bool.
    """
    frame = encoding.frame
    parts = [_find(predictor, encoding, grid, chunk, drawn)]
    for tile, part in zip(frame.tiles, encoding.tiles):
        found = _find(predictor, part, grid, chunk, drawn, far=False)
        found = found[_whole_in(tile, found, frame)]
        prompts = tuple(prompt.mapped(tile.outward) for prompt in found.prompts)
        parts.append(found.moved(tile, frame, prompts))
    found = Decoded.concatenate(parts)
    found = found[torch.argsort(found.objectness, descending=True, stable=True).tolist()]
    masks = on_grid(found, encoding)
    over = overlaps(masks)
    order = distinct(over, SAME)[:MOST]
    beside = over.iou[order][:, order].cpu()  # what was found is there already
    judged = predictor.preset.found.beside(found.objectness[order], beside)
    again = torch.argsort(judged, descending=True, stable=True).tolist()
    order = [order[i] for i in again]
    return replace(found[order], objectness=judged[again]), masks[order]


def _find(
    predictor: Predictor,
    encoding: Encoding,
    grid: Grid | None,
    chunk: int,
    drawn: int,
    far: bool = True,
) -> Decoded:
    """The candidates of one picture, with embeddings, no two the same."""
    preset = predictor.preset
    proposals = None
    if grid is None:
        # The whole shows what is large, so a tile need not.
        proposals = (
            proposals_of_all_sizes(predictor, encoding) if far else predictor.proposals(encoding)
        )
    if proposals is not None:
        boxes, likely = _boxes_from_proposals(encoding, proposals, drawn)
        evidence = {"likely": likely}
    else:
        grid = grid or Grid(preset.everything_points)
        boxes, agreement = _boxes_from_points(predictor, encoding, grid, chunk)
        evidence = {"agreement": agreement}
    found, asked = _answers(predictor, encoding, boxes, chunk)
    judged = preset.found(
        thing=found.thing,
        quality=found.quality,
        stability=found.stability,
        **{name: values[asked] for name, values in evidence.items()},
    )
    found = replace(found, objectness=judged)
    found = found[torch.argsort(judged, descending=True, stable=True).tolist()]
    order = distinct(overlaps(on_grid(found, encoding)), SAME)[:MOST]
    return predictor.embed(encoding, found[order])


def _whole_in(tile: Tile, found: Decoded, whole: Frame) -> list[int]:
    """Those that the tile shows whole: none that its edge cuts, unless it is the photograph's."""
    h, w = tile.frame.size
    x1, y1, x2, y2 = tile.box
    height, width = whole.original_size
    low = torch.tensor([x1 > 0.5, y1 > 0.5]) * EDGE
    high = torch.tensor([w, h]) - torch.tensor([x2 < width - 0.5, y2 < height - 0.5]) * EDGE
    inside = (found.boxes[:, :2] >= low).all(1) & (found.boxes[:, 2:] <= high).all(1)
    return [int(i) for i in torch.nonzero(inside).squeeze(1)]


def on_grid(found: Decoded, encoding: Encoding) -> Tensor:
    """(N, h, w) bool: the masks side by side, at a stride that keeps small things apart."""
    # What tiles show is smaller.
    stride = COMPARED_STRIDE // 2 if encoding.tiles else COMPARED_STRIDE
    return found.on_grid(encoding.frame.size, stride)


def _boxes_from_proposals(
    encoding: Encoding, proposals: Proposals, drawn: int
) -> tuple[list[Box], Tensor]:
    """Boxes in pixels of the original photograph, and how likely each is to hold a thing."""
    boxes, scores = proposals.boxes[0], proposals.logits[0].sigmoid()
    sides = boxes[:, 2:] - boxes[:, :2]
    likely = torch.nonzero((scores >= MIN_LIKELY) & (sides >= 2).all(1)).squeeze(1)
    likely = likely[scores[likely].argsort(descending=True, stable=True)[:MOST_COMPARED]]
    kept = likely[nms(boxes[likely], scores[likely], PROPOSAL_OVERLAP)[:drawn]]
    return to_boxes(encoding.frame, boxes[kept]), scores[kept].cpu()


def _boxes_from_points(
    predictor: Predictor, encoding: Encoding, grid: Grid, chunk: int
) -> tuple[list[Box], Tensor]:
    """Boxes of the answers to a lattice, and the share of the points on each that gave it."""
    height, width = encoding.frame.original_size
    points = grid.points(width, height)
    found, _ = _answers(predictor, encoding, points, chunk)
    found = found[torch.argsort(found.quality, descending=True, stable=True).tolist()]
    masks = on_grid(found, encoding)
    over = overlaps(masks)
    order = distinct(over, CANDIDATE_OVERLAP)[:MAX_CANDIDATES]
    same = (over.iou[order] > CANDIDATE_OVERLAP).sum(1)
    # A lattice point stands for its cell: how many lie on a mask follows from its area.
    cells = masks[order].flatten(1).sum(1) * len(points) / masks.shape[1:].numel()
    agreement = (same / cells.clamp(min=1)).clamp(max=1).cpu()
    corners = found.boxes[order].numpy() / np.tile(encoding.frame.scale, 2)
    corners = np.clip(corners, 0, [width, height] * 2)
    solid = (corners[:, 2:] > corners[:, :2]).all(1)
    boxes = [Box((*box,)) for box in corners[solid].tolist()]
    return boxes, agreement[torch.from_numpy(solid)]


def _answers(
    predictor: Predictor, encoding: Encoding, prompts: Sequence[Prompt], chunk: int
) -> tuple[Decoded, Tensor]:
    """The answers that are neither specks nor the whole photograph, without embeddings, and which
    prompts they answer.

    They are looked at a chunk at a time so that memory stays bounded.
    """
    h, w = encoding.frame.size
    kept, asked = [predictor.nothing()], [torch.zeros(0, dtype=torch.int64)]
    for indices, decoded in predictor.decode_chunks(encoding, prompts, chunk, embed=False):
        frames = decoded.windows
        on = (decoded.logits > 0).float().mean((1, 2)).cpu()
        share = on * (frames[:, 2:] - frames[:, :2]).prod(1)
        share = share / (h * w)
        rows = torch.nonzero((share >= MIN_AREA) & (share <= MAX_AREA)).squeeze(1)
        kept.append(decoded[rows.tolist()])
        asked.append(torch.as_tensor(indices)[rows])
    return Decoded.concatenate(kept), torch.cat(asked)
