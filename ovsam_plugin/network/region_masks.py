"""Masks inside their own windows: how a small network gets sharp edges on small things."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import roi_align

from ovsam_plugin.network.description import NetworkDescription
from ovsam_plugin.network.feature_pyramid import align_pyramid, align_regions, pyramid_level
from ovsam_plugin.network.prompt_encoder import PromptBatch

BINS = 28
# A window is its box grown by this, so that an edge is seen from both sides.
GROWTH = 1.3
DRAWN = 6
# Channels of the edges: the finest maps are the dearest.
FINE = 32
# Bilinear samples a bin and axis: a region's level is chosen so that a bin is about a cell.
SAMPLES = 1


@dataclass(frozen=True)
class RegionFeatures:
    """Maps of a batch that regions are read from.

    Attributes:
        image: (B, C, h, w) at stride 16.
        levels: (B, C, S/s, S'/s) at strides 4, 8, 16, 32.
        details: (B, FINE, S/s, S'/s) at strides 4, 8, 16.
    """

    image: Tensor
    levels: list[Tensor]
    details: list[Tensor]

    def __getitem__(self, part: slice) -> RegionFeatures:
        """Some images of the batch, as views."""
        return RegionFeatures(
            self.image[part], [x[part] for x in self.levels], [x[part] for x in self.details]
        )


class RegionMasks(NamedTuple):
    """Masks of N boxes, and what the head thinks of them.

    Attributes:
        logits: (N, 2 BINS, 2 BINS) float32, each over its own `windows(boxes)`.
        quality: (N,) float32 logits of the IoU that each mask is expected to have with what was
            asked for.
        thing: (N,) float32 logits of whether each is one whole thing, whatever was asked for.
    """

    logits: Tensor
    quality: Tensor
    thing: Tensor


class RegionMaskHead(nn.Module):
    """A mask for each box, read from the pyramid in a frame of the box's own.

    As Mask R-CNN's mask branch (arXiv 1703.06870), without classes, told the prompt, and with two
    scores as in Mask Scoring R-CNN (arXiv 1903.00241): how well the mask fits, by which one of
    several boxes for a point is chosen, and whether it is a whole thing.

    Args:
        description: `channels`, `fpn_channels` and `region_width` are read.
    """

    def __init__(self, description: NetworkDescription) -> None:
        super().__init__()
        width = description.region_width
        self.from_image = nn.Conv2d(description.channels, width, 1)
        self.from_level = nn.Conv2d(description.fpn_channels, width, 1)
        self.from_prompt = nn.Conv2d(DRAWN, width, 1)
        self.context = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=d, dilation=d) for d in (1, 2, 4, 1)
        )
        self.upscale = nn.ConvTranspose2d(width, FINE, 2, stride=2)
        self.detail = nn.Conv2d(description.fpn_channels, FINE, 1)
        self.edge = nn.Conv2d(FINE, FINE, 3, padding=1)
        self.output = nn.Conv2d(FINE, 1, 1)
        # All of the window and the mask's inside, which differ where a box holds two things.
        self.scores = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, 2))

    def project(self, image: Tensor, pyramid: Sequence[Tensor]) -> RegionFeatures:
        """What regions are read from: a narrow copy of the features, once for all prompts.

        In the layout and precision that RoIAlign reads: it would convert whole maps for every call.

        Args:
            image: (B, channels, h, w), the neck's output.
            pyramid: its four levels.
        """
        return RegionFeatures(
            _project(self.from_image, image),
            [_project(self.from_level, level) for level in pyramid],
            [_project(self.detail, level) for level in pyramid[:3]],
        )

    def forward(
        self,
        features: RegionFeatures,
        boxes: Tensor,
        *,
        index: Tensor | None = None,
        prompts: PromptBatch | None = None,
        coarse: Tensor | None = None,
    ) -> RegionMasks:
        """Masks of N boxes.

        Args:
            features: from `project`.
            boxes: (N, 4) xyxy in input pixels.
            index: (N,) which image of the batch each is on; the first when not given.
            prompts: the N prompts; their points are drawn.
            coarse: (N, 1, H/4, W/4) logits over the whole image to be refined.
        """
        owner = boxes.new_zeros(len(boxes)) if index is None else index.to(boxes.dtype)
        rois = torch.cat([owner[:, None], windows(boxes)], 1)
        levels = pyramid_level(rois[:, 1:])
        whole = align_regions(features.image, rois, BINS, 16, SAMPLES)
        near = align_pyramid(features.levels, rois, BINS, levels, SAMPLES)
        drawn = self.from_prompt(self._draw(boxes, prompts, coarse))
        finer = (levels - 1).clamp(min=0)
        fine = align_pyramid(features.details, rois, 2 * BINS, finer, SAMPLES)
        read = (whole + near).to(drawn.dtype) + drawn
        return self.draw(
            read.contiguous(memory_format=torch.channels_last),
            fine.to(drawn.dtype).contiguous(memory_format=torch.channels_last),
        )

    def draw(self, regions: Tensor, details: Tensor) -> RegionMasks:
        """Masks from what was read in their windows.

        Args:
            regions: (N, C, BINS, BINS).
            details: (N, FINE, 2 BINS, 2 BINS).
        """
        read = F.relu(regions)
        for convolution in self.context:
            read = read + F.relu(convolution(read))
        x = F.relu(self.upscale(read) + details)
        x = x + F.relu(self.edge(x))
        logits = self.output(x)[:, 0].float()
        # What the mask is worth is judged, not made better, by its scores.
        share = F.avg_pool2d(logits.detach().sigmoid()[:, None], 2).to(read.dtype)
        inside = (read * share).sum((2, 3)) / share.sum((2, 3)).clamp(min=1e-3)
        scores = self.scores(torch.cat([read.mean((2, 3)), inside], 1)).float()
        return RegionMasks(logits, scores[:, 0], scores[:, 1])

    def _draw(self, boxes: Tensor, prompts: PromptBatch | None, coarse: Tensor | None) -> Tensor:
        """(N, 6, BINS, BINS): the box's inside and coordinates, clicks, and the coarse mask."""
        n = len(boxes)
        line = (torch.arange(BINS, device=boxes.device) + 0.5) / BINS * 2 - 1
        u = (line * GROWTH).expand(BINS, BINS)
        inside = torch.sigmoid((1 - u.abs()) * BINS / GROWTH)
        out = boxes.new_zeros((n, DRAWN, BINS, BINS))
        out[:, 0], out[:, 1], out[:, 2] = inside * inside.T, u, u.T
        frames = windows(boxes)
        if prompts is not None and prompts.points is not None and prompts.point_labels is not None:
            sides = (frames[:, 2:] - frames[:, :2])[:, None]
            cells = (prompts.points - frames[:, None, :2]) / sides * BINS - 0.5
            grid = torch.arange(BINS, device=boxes.device)
            bumps = torch.exp(-0.5 * ((grid - cells[..., None]) / 1.5) ** 2)
            spots = bumps[:, :, 1, :, None] * bumps[:, :, 0, None, :]
            for channel, label in ((3, 1), (4, 0)):
                chosen = (prompts.point_labels == label).to(spots.dtype)[:, :, None, None]
                out[:, channel] = (spots * chosen).amax(1)
        if coarse is not None:
            rois = torch.cat([torch.arange(n, device=boxes.device)[:, None], frames], 1)
            seen = roi_align(coarse.float(), rois.float(), BINS, 0.25, 1, aligned=True)
            out[:, 5] = torch.tanh(seen[:, 0] / 4)
        return out


def _project(convolution: nn.Conv2d, x: Tensor) -> Tensor:
    """A 1 x 1 convolution whose output is contiguous and float32, in whatever layout its input is:
    (B, C, h, w) -> (B, C', h, w)."""
    assert convolution.bias is not None
    out = torch.matmul(convolution.weight.flatten(1), x.flatten(2)).float()
    return (out + convolution.bias[:, None]).view(len(x), -1, *x.shape[-2:])


def windows(boxes: Tensor) -> Tensor:
    """(N, 4) xyxy boxes about the same middles, `GROWTH` as large and no smaller than a pixel."""
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1) * (GROWTH / 2)
    return torch.cat([middle - half, middle + half], 1)
