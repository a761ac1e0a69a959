"""How good `ovsam-lite` is on a crop that is kept from its training.

Figures come by their names, a value for each instance or guess.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import box_iou

from ovsam_plugin.network.objectness import LEVELS, cells_at
from ovsam_plugin.network.ovsam import OVSAM, Features
from ovsam_plugin.network.region_masks import windows
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


class Drawing:
    """What the network draws on a crop.

    Args:
        network: that is judged; it draws regions.
        features: of the crop alone.
        crop: on the CPU.
    """

    def __init__(self, network: OVSAM, features: Features, crop: Crop) -> None:
        assert network.region_masks is not None
        self._head = network.region_masks
        self._regions = self._head.project(features.image, features.pyramid)
        proposals, size = propose(network, features), crop.masks.shape[-1]
        self._logits, self._boxes = proposals.logits[0], proposals.boxes[0].clamp(0, size)
        self._seen, self._crop = crop, crop.to(self._boxes.device)

    def from_boxes(self) -> dict[str, Tensor]:
        """IoU inside its window of each instance, asked by its box."""
        boxes = self._crop.boxes
        drawn = self._head(self._regions, boxes)
        return {"box IoU": region_loss(drawn.logits, self._crop.masks, windows(boxes))[1]}

    def from_points(self, generator: torch.Generator) -> dict[str, Tensor]:
        """The same, asked by a click: of the guess that is judged the best."""
        which, size = torch.arange(len(self._seen.boxes)), self._seen.masks.shape[-1]
        points = clicks(self._seen, which, 1, generator).to(self._boxes.device)
        assert points.points is not None
        boxes = self._boxes[cells_at(points.points[:, 0], (size, size)).flatten()]
        drawn = self._head(self._regions, boxes, prompts=points.repeat(len(LEVELS)))
        masks = self._crop.masks[which.repeat_interleave(len(LEVELS))]
        _, iou = region_loss(drawn.logits, masks, windows(boxes))
        best = drawn.quality.view(-1, len(LEVELS)).argmax(1)
        return {"point IoU": iou.view(-1, len(LEVELS)).gather(1, best[:, None])[:, 0]}

    def unasked(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Whether the best guesses are things, and whether each instance is among all."""
        boxes = surest(self._logits, self._boxes, _GUESSES, 0, generator)
        drawn = self._head(self._regions, boxes)
        owners = box_iou(boxes, self._crop.boxes).argmax(1)
        _, iou = region_loss(drawn.logits, self._crop.masks[owners], windows(boxes))
        hits = (iou > 0.5) & (share_inside(self._crop.unknown, boxes) < 0.5)
        held = torch.zeros(len(self._crop.boxes), device=boxes.device)
        held[owners[hits]] = 1
        best = drawn.thing.topk(min(_BEST, len(boxes))).indices
        return {f"things of the best {_BEST}": hits[best].float(), f"found by {_GUESSES}": held}
