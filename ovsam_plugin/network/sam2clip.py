"""SAM2CLIP: the transformer adapter that gives SAM's image embedding from CLIP's stages."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import cast

import torch
from segment_anything.modeling.common import LayerNorm2d
from torch import Tensor, nn

from ovsam_plugin.network.attention import NeckBlock
from ovsam_plugin.network.description import NetworkDescription


class PatchEmbed(nn.Module):
    """One stage to stride 16, as tokens."""

    def __init__(self, projection: nn.Module) -> None:
        super().__init__()
        self.projection = projection

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, h', w', dim)."""
        return cast(Tensor, self.projection(features)).permute(0, 2, 3, 1)


class Sam2ClipNeck(nn.Module):
    """Four stages to one map at stride 16, through SAM's ViT blocks and SAM's own neck.

    Args:
        stage_channels: of the encoder's stages at strides 4, 8, 16 and 32.
        description: `neck_*`, `channels` and `image_size` are read.
    """

    def __init__(self, stage_channels: Sequence[int], description: NetworkDescription) -> None:
        super().__init__()
        dim, out = description.neck_dim, description.channels
        grid = description.image_size // 16
        c2, c3, c4, c5 = stage_channels
        self.patch_embeds = nn.ModuleList(
            [
                PatchEmbed(nn.Conv2d(c2, dim, kernel_size=4, stride=4)),
                PatchEmbed(nn.Conv2d(c3, dim, kernel_size=2, stride=2)),
                PatchEmbed(nn.Conv2d(c4, dim, kernel_size=1)),
                PatchEmbed(nn.ConvTranspose2d(c5, dim, kernel_size=2, stride=2)),
            ]
        )
        self.register_buffer("pos_embed", torch.zeros(1, grid, grid, dim))
        self.level_encoding = nn.Embedding(4, dim)
        self.blocks = nn.ModuleList(
            [
                NeckBlock(
                    dim=dim,
                    num_heads=description.neck_heads,
                    norm_layer=partial(nn.LayerNorm, eps=1e-6),
                    use_rel_pos=True,
                    window_size=0 if i in description.neck_global else description.neck_window,
                    input_size=(grid, grid),
                )
                for i in range(description.neck_depth)
            ]
        )
        self.neck = nn.Sequential(
            nn.Conv2d(dim, out, kernel_size=1, bias=False),
            LayerNorm2d(out),
            nn.Conv2d(out, out, kernel_size=3, padding=1, bias=False),
            LayerNorm2d(out),
        )

    def forward(self, stages: Sequence[Tensor]) -> Tensor:
        """Maps at strides 4, 8, 16, 32 -> (B, channels, S/16, S/16)."""
        levels = self.level_encoding.weight
        tokens = [
            embed(x) + levels[i] for i, (embed, x) in enumerate(zip(self.patch_embeds, stages))
        ]
        x = tokens[0] + tokens[1] + tokens[2] + tokens[3]
        # Training on crops smaller than `image_size` reads the table's corner.
        x = x + cast(Tensor, self.pos_embed)[:, : x.shape[1], : x.shape[2]]
        for block in self.blocks:
            x = block(x)
        return cast(Tensor, self.neck(x.permute(0, 3, 1, 2)))
