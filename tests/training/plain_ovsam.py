"""The trained half of the paper's network and its losses, written a second time, from the formulas.

A check and nothing more: plain torch operations on a dictionary of weights, no module, no library
of losses, nothing of the package. Sources are the paper (arXiv 2401.02955), SAM's published mask
decoder (arXiv 2304.02643, appendix A) and PointRend's choice of points (arXiv 1912.08193). Weights
are named as in the published checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d
from torchvision.ops import roi_align

Weights = Mapping[str, Tensor]
HEADS = 8
DECODER = "mask_decoder.mask_decoder."


def pyramid(w: Weights, stages: Sequence[Tensor]) -> list[Tensor]:
    """Four stages -> four maps of 256 channels: 1 x 1, added from the top down, 3 x 3."""
    merged: list[Tensor] = []
    for i in reversed(range(4)):
        name = f"fpn_neck.lateral_convs.{i}.conv."
        level = conv2d(stages[i], w[name + "weight"], w[name + "bias"])
        if merged:
            above = merged[0]
            level = level + above.repeat_interleave(2, -1).repeat_interleave(2, -2)
        merged.insert(0, level)
    names = [f"fpn_neck.fpn_convs.{i}.conv." for i in range(4)]
    return [conv2d(x, w[n + "weight"], w[n + "bias"], padding=1) for n, x in zip(names, merged)]


def fourier(w: Weights, places: Tensor) -> Tensor:
    """Positions in 0..1, (..., 2) -> (..., 256)."""
    angles = 2 * math.pi * ((2 * places - 1) @ w["pe.pe_layer.positional_encoding_gaussian_matrix"])
    return torch.cat([angles.sin(), angles.cos()], -1)


def box_tokens(w: Weights, boxes: Tensor, side: float) -> Tensor:
    """(N, 4) xyxy -> (N, 2, 256): the two corners."""
    corners = fourier(w, (boxes.reshape(-1, 2, 2) + 0.5) / side)
    names = [f"pe.point_embeddings.{i}.weight" for i in (2, 3)]
    return corners + torch.cat([w[n] for n in names])


def point_tokens(w: Weights, points: Tensor, side: float) -> Tensor:
    """(N, 1, 2) positive points -> (N, 2, 256): each, then a token that is no point."""
    on = fourier(w, (points + 0.5) / side) + w["pe.point_embeddings.1.weight"]
    return torch.cat([on, w["pe.not_a_point_embed.weight"].expand(len(points), 1, -1)], 1)


def linear(w: Weights, name: str, x: Tensor) -> Tensor:
    return x @ w[name + ".weight"].T + w[name + ".bias"]


def layer_norm(w: Weights, name: str, x: Tensor, eps: float = 1e-5) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    spread = (centred.square().mean(-1, keepdim=True) + eps).sqrt()
    return centred / spread * w[name + ".weight"] + w[name + ".bias"]


def attention(w: Weights, name: str, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    def heads(x: Tensor) -> Tensor:
        return x.unflatten(-1, (HEADS, -1)).transpose(1, 2)

    q, k, v = (heads(linear(w, f"{name}.{part}_proj", x)) for part, x in zip("qkv", (q, k, v)))
    weights = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(-1)
    return linear(w, name + ".out_proj", (weights @ v).transpose(1, 2).flatten(2))


def two_way(w: Weights, tokens: Tensor, cells: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Tokens (N, T, 256) and cells (N, M, 256) of the image attend to each other, twice."""
    q, k = tokens, cells
    for i in range(2):
        layer = f"{DECODER}transformer.layers.{i}."
        if i == 0:  # the first layer has neither positions nor a residual
            q = attention(w, layer + "self_attn", q, q, q)
        else:
            q = q + attention(w, layer + "self_attn", q + tokens, q + tokens, q)
        q = layer_norm(w, layer + "norm1", q)
        q = q + attention(w, layer + "cross_attn_token_to_image", q + tokens, k + places, k)
        q = layer_norm(w, layer + "norm2", q)
        hidden = linear(w, layer + "mlp.lin1", q).clamp(min=0)
        q = layer_norm(w, layer + "norm3", q + linear(w, layer + "mlp.lin2", hidden))
        k = k + attention(w, layer + "cross_attn_image_to_token", k + places, q + tokens, q)
        k = layer_norm(w, layer + "norm4", k)
    final = DECODER + "transformer."
    q = q + attention(w, final + "final_attn_token_to_image", q + tokens, k + places, k)
    return layer_norm(w, final + "norm_final_attn", q), k


def gelu(x: Tensor) -> Tensor:
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def mask_logits(w: Weights, image: Tensor, prompts: Tensor) -> Tensor:
    """The neck's map (1, 256, h, h) and prompt tokens (N, P, 256) -> logits (N, 4h, 4h)."""
    n, side = len(prompts), image.shape[-1]
    line = (torch.arange(side) + 0.5) / side
    places = fourier(w, torch.stack(torch.meshgrid(line, line, indexing="xy"), -1))
    own = torch.cat([w["mask_decoder.label_token.weight"], w[DECODER + "mask_tokens.weight"]])
    tokens = torch.cat([own.expand(n, -1, -1), prompts], 1)
    cells = image[0].flatten(1).T + w["pe.no_mask_embed.weight"]
    tokens, cells = two_way(w, tokens, cells.expand(n, -1, -1), places.flatten(0, 1)[None])
    fine = cells.transpose(1, 2).unflatten(2, (side, side))
    up = DECODER + "output_upscaling."
    fine = conv_transpose2d(fine, w[up + "0.weight"], w[up + "0.bias"], stride=2)
    fine = layer_norm(w, up + "1", fine.permute(0, 2, 3, 1), 1e-6).permute(0, 3, 1, 2)
    fine = gelu(conv_transpose2d(gelu(fine), w[up + "3.weight"], w[up + "3.bias"], stride=2))
    mlp = DECODER + "output_hypernetworks_mlps.0.layers."
    hidden = linear(w, mlp + "0", tokens[:, 1]).clamp(min=0)
    hidden = linear(w, mlp + "1", hidden).clamp(min=0)
    return torch.einsum("nc,nchw->nhw", linear(w, mlp + "2", hidden), fine)


def class_logits(
    w: Weights, levels: Sequence[Tensor], boxes: Tensor, vocabulary: Tensor, bins: int = 12
) -> Tensor:
    """(N, K + 1), the background's last, of boxes on one image; vocabulary (K, synonyms, D)."""
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    rows = []
    for box, area in zip(boxes.split(1), areas.tolist()):
        level = min(max(math.floor(math.log2(math.sqrt(area) / 56 + 1e-6)), 0), 3)
        rows.append(roi_align(levels[level], [box], bins, 1 / (4 << level), 0, aligned=True))
    mixed = conv2d(torch.cat(rows), w["mask_decoder.roi_conv.0.conv.weight"]).clamp(min=0)
    embeddings = mixed.mean((2, 3))
    unit = embeddings / embeddings.square().sum(1, keepdim=True).sqrt()
    cosines = torch.einsum("nd,ksd->nks", unit, vocabulary).amax(2)
    return torch.cat([math.exp(4.6052) * cosines, torch.zeros(len(boxes), 1)], 1)


def class_loss(logits: Tensor, classes: Tensor, background: float) -> Tensor:
    """Cross-entropy, a mean over instances in which those without an object weigh less."""
    log_share = logits - logits.exp().sum(1, keepdim=True).log()
    weight = torch.where(classes == logits.shape[1] - 1, background, 1.0)
    return -(weight * log_share[range(len(classes)), classes]).sum() / weight.sum()


def read(maps: Tensor, places: Tensor) -> Tensor:
    """Bilinear values of (N, h, w) maps at (N, P, 2) places (x, y) in 0..1; 0 outside the map."""
    n, h, w = maps.shape
    x, y = (places * torch.tensor([w, h]) - 0.5).unbind(-1)
    total = torch.zeros_like(x)
    for dx in (0, 1):
        for dy in (0, 1):
            column, row = x.floor().long() + dx, y.floor().long() + dy
            share = (1 - (x - column).abs()) * (1 - (y - row).abs())
            inside = (column >= 0) & (column < w) & (row >= 0) & (row < h)
            at = row.clamp(0, h - 1) * w + column.clamp(0, w - 1)
            total = total + maps.flatten(1).gather(1, at) * share * inside
    return total


@dataclass(frozen=True)
class RandomPlaces:
    """What is random about where masks are compared.

    Attributes:
        candidates: (N, 3P, 2) in 0..1, of which the 3P / 4 least sure are taken.
        anywhere: (N, P / 4, 2) in 0..1, taken as they are.
    """

    candidates: Tensor
    anywhere: Tensor


def mask_losses(logits: Tensor, truth: Tensor, random: RandomPlaces) -> tuple[Tensor, Tensor]:
    """Cross-entropy and dice at uncertain points: the means over masks (N, h, w), (N, H, W)."""
    wanted = 3 * random.anywhere.shape[1]
    sureness = read(logits.detach(), random.candidates).abs()
    least = sureness.sort(1).indices[:, :wanted]
    rows = torch.arange(len(logits))[:, None]
    places = torch.cat([random.candidates[rows, least], random.anywhere], 1)
    x, t = read(logits, places), read(truth.float(), places)
    # -t log s(x) - (1 - t) log(1 - s(x)), without overflow
    entropy = x.clamp(min=0) - x * t + (1 + (-x.abs()).exp()).log()
    soft = 1 / (1 + (-x).exp())
    dice = 1 - (2 * (soft * t).sum(1) + 1) / (soft.sum(1) + t.sum(1) + 1)
    return entropy.mean(), dice.mean()
