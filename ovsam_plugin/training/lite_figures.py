"""How good `ovsam-lite` is on a crop that is kept from its training.

Each function gives its figures by their names, a value for each instance or guess.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import box_iou

from ovsam_plugin.network.objectness import LEVELS, cells_at
from ovsam_plugin.network.ovsam import OVSAM, Features
from ovsam_plugin.network.region_masks import RegionFeatures, RegionMaskHead, windows
from ovsam_plugin.training.crops import Crop
from ovsam_plugin.training.losses import region_loss
from ovsam_plugin.training.prompting import clicks
from ovsam_plugin.training.proposals import propose, share_inside, surest

# The surest guesses that are drawn, and how many of these are looked at more closely.
_GUESSES, _BEST = 50, 5


def named(network: OVSAM, features: Features, crop: Crop, texts: Tensor) -> dict[str, Tensor]:
    """Whether the true name of each instance is the nearest, and among the nearest five.

    Args:
        network: that is judged.
        features: of the crop alone.
        crop: on the network's device.
        texts: (K, D) embeddings of all names, unit length.
    """
    heads = F.normalize(network.embed(features, crop.boxes, crop.boxes).head, dim=-1)
    cosines = heads @ texts.T
    ranks = cosines.topk(min(5, cosines.shape[1])).indices == crop.classes[:, None]
    return {"top-1": ranks[:, 0].float(), "top-5": ranks.any(1).float()}


def drawn_from_boxes(network: OVSAM, features: Features, crop: Crop) -> dict[str, Tensor]:
    """IoU inside its window of each instance, asked by its box."""
    head, regions = _regions(network, features)
    _, iou = region_loss(head(regions, crop.boxes).logits, crop.masks, windows(crop.boxes))
    return {"box IoU": iou}


def drawn_from_points(
    network: OVSAM, features: Features, crop: Crop, generator: torch.Generator
) -> dict[str, Tensor]:
    """The same, asked by a click: of the guess that is judged the best."""
    head, regions = _regions(network, features)
    which, size = torch.arange(len(crop.boxes)), crop.masks.shape[-1]
    points = clicks(crop.to(torch.device("cpu")), which, 1, generator).to(crop.boxes.device)
    assert points.points is not None
    cells = cells_at(points.points[:, 0], (size, size))
    boxes = propose(network, features).boxes[0].clamp(0, size)[cells.flatten()]
    drawn = head(regions, boxes, prompts=points.repeat(len(LEVELS)))
    owners = which.repeat_interleave(len(LEVELS))
    _, iou = region_loss(drawn.logits, crop.masks[owners], windows(boxes))
    best = drawn.quality.view(-1, len(LEVELS)).argmax(1)
    return {"point IoU": iou.view(-1, len(LEVELS)).gather(1, best[:, None])[:, 0]}


def found_alone(
    network: OVSAM, features: Features, crop: Crop, generator: torch.Generator
) -> dict[str, Tensor]:
    """With nothing asked: whether the best guesses are things, and each instance is among all."""
    head, regions = _regions(network, features)
    proposals, size = propose(network, features), crop.masks.shape[-1]
    boxes = surest(proposals.logits[0], proposals.boxes[0].clamp(0, size), _GUESSES, 0, generator)
    drawn = head(regions, boxes)
    owners = box_iou(boxes, crop.boxes).argmax(1)
    _, iou = region_loss(drawn.logits, crop.masks[owners], windows(boxes))
    hits = (iou > 0.5) & (share_inside(crop.unknown, boxes) < 0.5)
    held = torch.zeros(len(crop.boxes), device=boxes.device)
    held[owners[hits]] = 1
    best = drawn.thing.topk(min(_BEST, len(boxes))).indices
    return {f"things of the best {_BEST}": hits[best].float(), f"found by {_GUESSES}": held}


def _regions(network: OVSAM, features: Features) -> tuple[RegionMaskHead, RegionFeatures]:
    head = network.region_masks
    assert head is not None
    return head, head.project(features.image, features.pyramid)
