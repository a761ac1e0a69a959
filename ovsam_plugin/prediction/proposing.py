"""Where things may lie on a photograph: what the network proposes, as boxes to ask by."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ovsam_plugin.images.frame import Frame, padded_size
from ovsam_plugin.network.objectness import Proposals, cells_at
from ovsam_plugin.prediction.predictor import Encoding, Predictor
from ovsam_plugin.prediction.prompts import Box

# Of the picture's longer side: things smaller than this are not taken from the second look, at a
# smaller picture.
LARGE = 0.4


@torch.inference_mode()
def proposals_of_all_sizes(predictor: Predictor, encoding: Encoding) -> Proposals | None:
    """`Predictor.proposals`, and after them those of large things from the preset's second look."""
    if encoding.all_proposals is not None:
        return encoding.all_proposals
    found, factor = predictor.proposals(encoding), predictor.preset.far
    if found is None or not factor:
        return found
    frame = encoding.frame
    (smaller,) = predictor.encode([frame.reduced(factor)])
    more = predictor.proposals(smaller)
    assert more is not None
    boxes = frame.inside(more.boxes / factor)
    large = (boxes[..., 2:] - boxes[..., :2]).amax(-1) >= LARGE * max(frame.size)
    return Proposals(
        torch.cat([found.logits, more.logits[large][None]], 1),
        torch.cat([found.boxes, boxes[large][None]], 1),
    )


def boxes_at(predictor: Predictor, encoding: Encoding, x: float, y: float) -> list[Box]:
    """Boxes of things of several sizes that may lie under a point, smaller ones first.

    Args:
        predictor: that encoded the photograph.
        encoding: of the photograph.
        x, y: in pixels of the original photograph, on it.

    Returns:
        what the network's head proposes there; nothing where it has none.
    """
    proposals = predictor.proposals(encoding)
    if proposals is None:
        return []
    place = torch.tensor(np.array([[x, y]]) * encoding.frame.scale, dtype=torch.float32)
    cells = cells_at(place, padded_size(encoding.frame, predictor.network.description))[0]
    boxes = proposals.boxes[0][cells.to(proposals.boxes.device)]
    return to_boxes(encoding.frame, boxes[(boxes[:, 2:] > boxes[:, :2]).all(1)])


def to_boxes(frame: Frame, corners: Tensor) -> list[Box]:
    """(N, 4) xyxy in input pixels as boxes in pixels of the original photograph."""
    placed = corners.cpu().double() / torch.from_numpy(np.tile(frame.scale, 2))
    return [Box((*box,)) for box in placed.tolist()]
