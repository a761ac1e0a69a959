"""CLIP2SAM's feature pyramid, and where on it a box is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import roi_align

STRIDES = (4, 8, 16, 32)
FINEST_SCALE = 56


class ConvModule(nn.Module):
    """A convolution under the name that published checkpoints give it."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C', h, w)."""
        return cast(Tensor, self.conv(x))


class FeaturePyramid(nn.Module):
    """Lateral 1 x 1 and output 3 x 3 convolutions with biases, nearest upsampling, nothing else.

    Args:
        stage_channels: of the encoder's stages at strides 4, 8, 16 and 32.
        channels: of every output level.
    """

    def __init__(self, stage_channels: Sequence[int], channels: int) -> None:
        super().__init__()
        self.lateral_convs = nn.ModuleList(
            [ConvModule(nn.Conv2d(c, channels, kernel_size=1)) for c in stage_channels]
        )
        self.fpn_convs = nn.ModuleList(
            [
                ConvModule(nn.Conv2d(channels, channels, kernel_size=3, padding=1))
                for _ in stage_channels
            ]
        )

    def forward(self, stages: Sequence[Tensor]) -> list[Tensor]:
        """Four maps in, four maps of `channels` out, at the same strides."""
        x = [conv(stage) for conv, stage in zip(self.lateral_convs, stages)]
        for fine, coarse in ((2, 3), (1, 2), (0, 1)):
            x[fine] = x[fine] + F.interpolate(x[coarse], size=x[fine].shape[-2:], mode="nearest")
        return [conv(level) for conv, level in zip(self.fpn_convs, x)]


def pyramid_level(boxes: Tensor) -> Tensor:
    """The level each box is read from: floor(log2(sqrt(area) / 56 + 1e-6)), clipped to 0..3.

    Args:
        boxes: (N, 4) xyxy in input pixels.

    Returns:
        (N,) int64.
    """
    size = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).sqrt()
    return torch.log2(size / FINEST_SCALE + 1e-6).floor().clamp(0, len(STRIDES) - 1).long()


def align_regions(
    features: Tensor, rois: Tensor, size: int, stride: int, samples: int = 0
) -> Tensor:
    """RoIAlign with half-pixel alignment.

    Args:
        features: (B, C, h, w) at `stride`.
        rois: (N, 5), image index in the batch then xyxy in input pixels.
        size: bins a side.
        stride: input pixels a cell.
        samples: a bin and axis; as many as the box is large when 0.

    Returns:
        (N, C, size, size).
    """
    # Half precision would move a box of a large image by several pixels.
    features, rois = features.float(), rois.float()
    return cast(Tensor, roi_align(features, rois, size, 1.0 / stride, samples, aligned=True))


def align_pyramid(
    pyramid: Sequence[Tensor],
    rois: Tensor,
    size: int,
    levels: Tensor | None = None,
    samples: int = 0,
) -> Tensor:
    """Each region from its level, by default that which suits its size: (N, C, size, size)."""
    levels = pyramid_level(rois[:, 1:]) if levels is None else levels
    out = pyramid[0].new_zeros((len(rois), pyramid[0].shape[1], size, size))
    for level, (features, stride) in enumerate(zip(pyramid, STRIDES)):
        index = torch.nonzero(levels == level).squeeze(1)
        if len(index):
            out[index] = align_regions(features, rois[index], size, stride, samples).to(out.dtype)
    return out
