"""SAM's two-way mask decoder with CLIP2SAM's label token and region head."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from segment_anything.modeling.common import LayerNorm2d
from segment_anything.modeling.mask_decoder import MLP
from torch import Tensor, nn

from ovsam_plugin.network.attention import TwoWayDecoder
from ovsam_plugin.network.description import NetworkDescription
from ovsam_plugin.network.feature_pyramid import ConvModule
from ovsam_plugin.network.prompt_encoder import RASTER_CHANNELS, PromptBatch, rasterize


class Detail(nn.Module):
    """What small networks add while the mask is upscaled: pyramid levels and drawn prompts.

    Args:
        description: `channels`, `fpn_channels`, `skips` and `prompt_raster` are read.
    """

    def __init__(self, description: NetworkDescription) -> None:
        super().__init__()
        widths = (description.channels // 4, description.channels // 8)
        self.skips = nn.ModuleList(
            nn.Conv2d(description.fpn_channels, width, 1) for width in widths if description.skips
        )
        self.rasters = nn.ModuleList(
            nn.Conv2d(RASTER_CHANNELS, width, 1) for width in widths if description.prompt_raster
        )
        self.refine = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for width in widths)

    def forward(
        self, step: int, x: Tensor, level: Tensor, prompts: PromptBatch, stride: int
    ) -> Tensor:
        """The upscaled map of one step, with what is known at its stride added.

        Args:
            step: 0 at stride 8, 1 at stride 4.
            x: (N, width, h, w).
            level: (1, fpn_channels, h, w) the pyramid's.
            prompts: the N prompts.
            stride: input pixels a cell.
        """
        if self.skips:
            x = x + self.skips[step](level)
        if self.rasters:
            drawn = rasterize(prompts, (x.shape[-2], x.shape[-1]), stride)
            x = x + self.rasters[step](drawn.to(x.dtype))
        return x

    def sharpen(self, step: int, x: Tensor) -> Tensor:
        """A residual 3 x 3 convolution, (N, width, h, w) to the same."""
        return x + F.gelu(self.refine[step](x))


class MaskDecoder(nn.Module):
    """SAM's mask decoder with one mask token, no quality token and no quality head.

    Args:
        description: `channels`, `decoder_*` and what `Detail` reads.
    """

    def __init__(self, description: NetworkDescription) -> None:
        super().__init__()
        channels = description.channels
        self.transformer = TwoWayDecoder(
            depth=2,
            embedding_dim=channels,
            num_heads=description.decoder_heads,
            mlp_dim=description.decoder_mlp,
        )
        self.mask_tokens = nn.Embedding(1, channels)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(channels, channels // 4, kernel_size=2, stride=2),
            LayerNorm2d(channels // 4),
            nn.GELU(),
            nn.ConvTranspose2d(channels // 4, channels // 8, kernel_size=2, stride=2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList([MLP(channels, channels, channels // 8, 3)])
        self.raster = (
            nn.Conv2d(RASTER_CHANNELS, channels, kernel_size=1)
            if description.prompt_raster
            else None
        )
        has_detail = description.skips or description.prompt_raster
        self.detail = Detail(description) if has_detail else None

    def forward(
        self,
        image: Tensor,
        image_pe: Tensor,
        pyramid: list[Tensor],
        extra_tokens: Tensor,
        sparse: Tensor,
        dense: Tensor,
        prompts: PromptBatch,
    ) -> Tensor:
        """Mask logits of N prompts on one image.

        Args:
            image: (1, C, h, w), the neck's output.
            image_pe: (1, C, h, w), positions of its cells.
            pyramid: the four levels of the one image.
            extra_tokens: (T, C) queries that go before the mask token.
            sparse: (N, P, C) prompt tokens.
            dense: (N, C, h, w) dense prompt, or (1, C, h, w) where it is the same for all.
            prompts: the N prompts themselves.

        Returns:
            (N, 1, 4 h, 4 w) logits over the padded image.
        """
        n = len(sparse)
        queries = torch.cat([extra_tokens, self.mask_tokens.weight])
        tokens = torch.cat([queries.expand(n, -1, -1), sparse], dim=1)
        source = image + dense
        h, w = source.shape[-2:]
        if self.raster is not None:
            source = source + self.raster(rasterize(prompts, (h, w), 16).to(source.dtype))
        tokens, cells = self.transformer(source, image_pe, tokens)
        weights = self.output_hypernetworks_mlps[0](tokens[:, len(extra_tokens)])
        if self.detail is None:
            return self._upscale(cells, weights, (h, w))[:, None]
        up = self.output_upscaling
        x = up[0](cells.transpose(1, 2).reshape(n, -1, h, w))
        x = self.detail(0, x, pyramid[1], prompts, 8)
        x = self.detail.sharpen(0, up[2](up[1](x)))
        x = self.detail(1, up[3](x), pyramid[0], prompts, 4)
        x = self.detail.sharpen(1, up[4](x))
        return torch.einsum("nc,nchw->nhw", weights, x)[:, None]

    def _upscale(self, cells: Tensor, weights: Tensor, size: tuple[int, int]) -> Tensor:
        """`output_upscaling` and the product with the mask's weights, cell by cell.

        A transposed convolution as wide as its stride makes each cell a square of cells that no
        other adds to: a matrix product. Only the logits are put in their places, at last.

        Args:
            cells: (N, h * w, C).
            weights: (N, C / 8).
            size: (h, w).

        Returns:
            (N, 4 h, 4 w) logits.
        """
        n, (h, w) = len(cells), size
        up = self.output_upscaling
        norm = cast(LayerNorm2d, up[1])
        x = _squares(cast(nn.ConvTranspose2d, up[0]), cells)
        x = F.gelu(F.layer_norm(x, x.shape[-1:], norm.weight, norm.bias, norm.eps))
        x = F.gelu(_squares(cast(nn.ConvTranspose2d, up[3]), x))
        logits = x.flatten(1, 3) @ weights.to(x.dtype)[:, :, None]
        placed = logits.view(n, h, w, 2, 2, 2, 2).permute(0, 1, 3, 5, 2, 4, 6)
        return placed.reshape(n, 4 * h, 4 * w)


def _squares(up: nn.ConvTranspose2d, x: Tensor) -> Tensor:
    """(..., C) cells to (..., 4, C'), the four that each becomes, row by row."""
    weight = up.weight.permute(2, 3, 1, 0).flatten(0, 2)
    bias = None if up.bias is None else up.bias.repeat(4)
    return F.linear(x, weight, bias).view(*x.shape[:-1], 4, -1)


class RecognizingDecoder(nn.Module):
    """The mask decoder, the label token that attends beside it, and the head that reads regions.

    The label token's own output is multiplied by zero in the paper's final model, so `label_mlp`
    is loaded and never run; the token still takes part in attention.

    Args:
        description: of the network.
        pooled_channels: of the encoder's pooled features, read when `pooled_hidden` is set.
    """

    def __init__(self, description: NetworkDescription, pooled_channels: int) -> None:
        super().__init__()
        channels, dim = description.channels, description.embed_dim
        self.mask_decoder = MaskDecoder(description)
        self.label_token = nn.Embedding(1, channels)
        self.label_mlp = MLP(channels, channels, dim, 3)
        self.roi_conv = nn.Sequential(
            ConvModule(nn.Conv2d(description.fpn_channels, dim, kernel_size=1, bias=False)),
            nn.ReLU(),
        )
        hidden = description.pooled_hidden
        pooled_channels *= 1 + description.pooled_context
        self.pooled_mlp = (
            nn.Sequential(
                nn.LayerNorm(pooled_channels),
                nn.Linear(pooled_channels, hidden),
                nn.GELU(),
                nn.Dropout(0.3),
                nn.Linear(hidden, dim),
            )
            if hidden
            else None
        )

    def embed(self, regions: Tensor, pooled: Tensor) -> Tensor:
        """The head's embedding of N regions.

        Args:
            regions: (N, fpn_channels, s, s) from the pyramid.
            pooled: (N, F) the encoder's pooled features of the same regions, with
                `pooled_context` (N, 2 F): their surroundings' behind them.

        Returns:
            (N, D), not normalised.
        """
        embedding = cast(Tensor, self.roi_conv(regions).mean(dim=(2, 3)))
        if self.pooled_mlp is not None:
            embedding = embedding + self.pooled_mlp(pooled)
        return embedding
