"""Boxes of things, whatever they are called: where a small network looks when little is said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovsam_plugin.network.description import NetworkDescription
from ovsam_plugin.network.feature_pyramid import STRIDES

# Pyramid levels that are read, and the longer sides of the boxes each learns, in input pixels.
# They overlap: a thing between two sizes is proposed by both.
LEVELS = (1, 2, 3)
SIDES = ((0.0, 96.0), (64.0, 224.0), (160.0, float("inf")))


class Proposals(NamedTuple):
    """What every cell proposes, level after level, row by row.

    Attributes:
        logits: (B, M), of the IoU that the cell's box is expected to have with a thing.
        boxes: (B, M, 4) float32 xyxy in input pixels.
    """

    logits: Tensor
    boxes: Tensor


class ObjectnessHead(nn.Module):
    """For every cell of three levels: is it on a thing, and how far do the thing's edges lie.

    An anchor-free detector (FCOS, arXiv 1904.01355) without classes, one head for all levels. It
    also reads the neck's map, which has seen more of the photograph than the pyramid's levels.

    Args:
        description: `fpn_channels` and `channels` are read.
    """

    def __init__(self, description: NetworkDescription) -> None:
        super().__init__()
        width = description.fpn_channels
        self.from_image = nn.Conv2d(description.channels, width, 1)
        self.thing_tower, self.box_tower = _tower(width), _tower(width)
        self.thing = nn.Conv2d(width, 1, 1)
        self.box = nn.Conv2d(width, 4, 1)
        # Cells of things are few: without this start they drown.
        nn.init.constant_(self.thing.bias, -3.0)  # type: ignore[arg-type]

    def forward(self, image: Tensor, pyramid: Sequence[Tensor]) -> Proposals:
        """Every cell's proposal.

        Args:
            image: (B, channels, S/16, S'/16), the neck's output.
            pyramid: the four levels (B, fpn_channels, S/s, S'/s).
        """
        context = self.from_image(image)
        logits, boxes = [], []
        for level in LEVELS:
            features, stride = pyramid[level], STRIDES[level]
            h, w = features.shape[-2:]
            x = features + F.interpolate(context, (h, w), mode="bilinear", align_corners=False)
            thing = self.thing(self.thing_tower(x)).float().flatten(1)
            reach = self.box(self.box_tower(x)).float().flatten(2).transpose(1, 2)
            reach = reach.clamp(-4, 4).exp() * stride * 4
            centres = cell_centres(h, w, stride, features.device)
            logits.append(thing)
            boxes.append(torch.cat([centres - reach[..., :2], centres + reach[..., 2:]], -1))
        return Proposals(torch.cat(logits, 1), torch.cat(boxes, 1))


def _tower(width: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for dilation in (1, 1, 2):
        layers += [
            nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation),
            nn.GroupNorm(8, width),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers)


def cell_centres(h: int, w: int, stride: int, device: torch.device) -> Tensor:
    """(h * w, 2) float32, the (x, y) middles of cells in input pixels, row by row."""
    y = (torch.arange(h, device=device) + 0.5) * stride
    x = (torch.arange(w, device=device) + 0.5) * stride
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij"), -1).reshape(-1, 2)
    return grid.flip(1)


def cells_at(points: Tensor, size: tuple[int, int]) -> Tensor:
    """Which cell of each level holds a point.

    Args:
        points: (N, 2) float (x, y) in input pixels.
        size: (h, w) of the padded image, a multiple of 32.

    Returns:
        (N, 3) int64 indices into `Proposals`.
    """
    columns, first = [], 0
    for level in LEVELS:
        stride = STRIDES[level]
        h, w = size[0] // stride, size[1] // stride
        x = (points[:, 0] / stride).long().clamp(0, w - 1)
        y = (points[:, 1] / stride).long().clamp(0, h - 1)
        columns.append(first + y * w + x)
        first += h * w
    return torch.stack(columns, 1)
