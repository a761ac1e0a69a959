"""Boxes of things, whatever they are called: where a small network looks when little is said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
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

    An anchor-free detector (FCOS, arXiv 1904.01355) without classes, one head for all levels.

    Args:
        description: `fpn_channels` is read.
    """

    def __init__(self, description: NetworkDescription) -> None:
        super().__init__()
        width = description.fpn_channels
        self.tower = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(width, width, 3, padding=2, dilation=2),
            nn.GELU(),
        )
        self.output = nn.Conv2d(width, 5, 1)
        # Cells of things are few: without this start they drown.
        nn.init.constant_(self.output.bias[:1], -3.0)  # type: ignore[index]

    def forward(self, pyramid: Sequence[Tensor]) -> Proposals:
        """Every cell's proposal, from the four levels (B, fpn_channels, S/s, S'/s)."""
        logits, boxes = [], []
        for level in LEVELS:
            features, stride = pyramid[level], STRIDES[level]
            out = self.output(self.tower(features)).float().flatten(2).transpose(1, 2)
            reach = out[..., 1:].clamp(-4, 4).exp() * stride * 4
            h, w = features.shape[-2:]
            centres = cell_centres(h, w, stride, features.device)
            logits.append(out[..., 0])
            boxes.append(torch.cat([centres - reach[..., :2], centres + reach[..., 2:]], -1))
        return Proposals(torch.cat(logits, 1), torch.cat(boxes, 1))


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
