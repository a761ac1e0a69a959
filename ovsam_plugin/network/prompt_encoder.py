"""Prompts as tokens (SAM's own encoder) and, for small networks, as maps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from segment_anything.modeling.prompt_encoder import PromptEncoder
from torch import Tensor

from ovsam_plugin.network.description import NetworkDescription

RASTER_CHANNELS = 8
MASK_LOGIT = 10.0


@dataclass(frozen=True)
class PromptBatch:
    """N prompts of one kind, in pixels of the resized image.

    Attributes:
        boxes: (N, 4) float32 xyxy, or None.
        points: (N, P, 2) float32 (x, y), or None.
        point_labels: (N, P) float32, 1 on the object and 0 off it; given with `points`.
        masks: (N, 1, S/4, S/4) float32 logits on the padded square, or None; given with `boxes`.
    """

    boxes: Tensor | None = None
    points: Tensor | None = None
    point_labels: Tensor | None = None
    masks: Tensor | None = None

    def __len__(self) -> int:
        coordinates = self.boxes if self.boxes is not None else self.points
        return 0 if coordinates is None else len(coordinates)

    def __getitem__(self, part: slice) -> PromptBatch:
        """Some of the prompts, as views."""
        return PromptBatch(
            *(None if t is None else t[part] for t in (self.boxes, self.points)),
            *(None if t is None else t[part] for t in (self.point_labels, self.masks)),
        )

    def repeat(self, times: int) -> PromptBatch:
        """Each prompt several times in a row."""
        given = (self.boxes, self.points, self.point_labels, self.masks)
        return PromptBatch(*(None if t is None else t.repeat_interleave(times, 0) for t in given))

    def to(self, device: torch.device) -> PromptBatch:
        """The same prompts on a device."""
        given = (self.boxes, self.points, self.point_labels, self.masks)
        return PromptBatch(*(None if t is None else t.to(device) for t in given))


def build_prompt_encoder(description: NetworkDescription) -> PromptEncoder:
    """segment_anything's prompt encoder for a description's sizes, without weights."""
    size, grid = description.image_size, description.image_size // 16
    return PromptEncoder(
        embed_dim=description.channels,
        image_embedding_size=(grid, grid),
        input_image_size=(size, size),
        mask_in_chans=16,
    )


def rasterize(prompts: PromptBatch, size: tuple[int, int], stride: int) -> Tensor:
    """Prompts drawn on a map.

    Channels: for a box its soft inside, the coordinates inside it (-1..1 from edge to edge) and a
    bump at its centre; for points, positive and negative ones apart, a narrow and a wide bump.
    What a prompt does not have is 0.

    Args:
        prompts: N prompts.
        size: (h, w) of the map.
        stride: input pixels a cell.

    Returns:
        (N, RASTER_CHANNELS, h, w) float32.
    """
    anchor = prompts.boxes if prompts.boxes is not None else prompts.points
    assert anchor is not None
    h, w = size
    y = (torch.arange(h, device=anchor.device) + 0.5) * stride
    x = (torch.arange(w, device=anchor.device) + 0.5) * stride
    out = anchor.new_zeros((len(prompts), RASTER_CHANNELS, h, w))
    if prompts.boxes is not None:
        x1, y1, x2, y2 = (v[:, None] for v in prompts.boxes.unbind(1))
        half_w, half_h = (x2 - x1).clamp(min=1) / 2, (y2 - y1).clamp(min=1) / 2
        dx, dy = x - (x1 + x2) / 2, y - (y1 + y2) / 2
        in_x = torch.sigmoid(2 * (half_w - dx.abs()) / stride)
        in_y = torch.sigmoid(2 * (half_h - dy.abs()) / stride)
        u, v = (dx / half_w).clamp(-1.5, 1.5), (dy / half_h).clamp(-1.5, 1.5)
        out[:, 0] = in_y[:, :, None] * in_x[:, None, :]
        out[:, 1] = u[:, None, :].expand(-1, h, -1)
        out[:, 2] = v[:, :, None].expand(-1, -1, w)
        out[:, 3] = torch.exp(-v.square())[:, :, None] * torch.exp(-u.square())[:, None, :]
    if prompts.points is not None and prompts.point_labels is not None:
        dx = x - prompts.points[:, :, :1]
        dy = y - prompts.points[:, :, 1:]
        for channel, sigma in ((4, 12.0), (5, 64.0)):
            gx, gy = torch.exp(-0.5 * (dx / sigma) ** 2), torch.exp(-0.5 * (dy / sigma) ** 2)
            bumps = gy[:, :, :, None] * gx[:, :, None, :]
            on = (prompts.point_labels == 1).float()[:, :, None, None]
            out[:, channel] = (bumps * on).amax(1)
            out[:, channel + 2] = (bumps * (1 - on)).amax(1)
    return out


def mask_to_logits(shares: Tensor, padded: tuple[int, int]) -> Tensor:
    """A mask prompt as the logits that SAM's encoder reads.

    Args:
        shares: (h, w) float32, how much of each pixel of the resized image the mask covers.
        padded: (h, w) of the padded image.

    Returns:
        (1, h / 4, w / 4) float32, +10 on the mask and -10 off it.
    """
    h, w = shares.shape
    whole = F.pad(shares[None], (0, padded[1] - w, 0, padded[0] - h))
    return F.avg_pool2d(whole, 4) * (2 * MASK_LOGIT) - MASK_LOGIT
