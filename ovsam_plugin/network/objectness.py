"""Boxes of things, whatever they are called: where everything mode looks with a small network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovsam_plugin.network.description import NetworkDescription

STRIDE = 16


class ObjectnessHead(nn.Module):
    """For every cell at stride 16: is this the middle of a thing, and how far do its edges lie.

    One level of an anchor-free detector (FCOS, arXiv 1904.01355) without classes.

    Args:
        description: `channels` and `fpn_channels` are read.
    """

    def __init__(self, description: NetworkDescription) -> None:
        super().__init__()
        width = description.channels
        self.tower = nn.Sequential(
            nn.Conv2d(width + 2 * description.fpn_channels, width, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(width, width, 3, padding=2, dilation=2),
            nn.GELU(),
            nn.Conv2d(width, width, 3, padding=4, dilation=4),
            nn.GELU(),
        )
        self.output = nn.Conv2d(width, 5, 1)

    def forward(self, image: Tensor, pyramid: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Objectness and boxes of every cell.

        Args:
            image: (B, channels, h, w), the neck's output at stride 16.
            pyramid: the four levels; those at strides 16 and 32 are read.

        Returns:
            (B, h * w) logits and (B, h * w, 4) float32 boxes, xyxy in input pixels.
        """
        h, w = image.shape[-2:]
        coarse = F.interpolate(pyramid[3], size=(h, w), mode="nearest")
        out = self.output(self.tower(torch.cat([image, pyramid[2], coarse], 1))).float()
        out = out.flatten(2).transpose(1, 2)
        reach = out[..., 1:].clamp(-4, 4).exp() * STRIDE * 4
        centres = cell_centres(h, w, image.device)
        boxes = torch.cat([centres - reach[..., :2], centres + reach[..., 2:]], -1)
        return out[..., 0], boxes


def cell_centres(h: int, w: int, device: torch.device) -> Tensor:
    """(h * w, 2) float32, the (x, y) middles of cells in input pixels, row by row."""
    y = (torch.arange(h, device=device) + 0.5) * STRIDE
    x = (torch.arange(w, device=device) + 0.5) * STRIDE
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij"), -1).reshape(-1, 2)
    return grid.flip(1)
