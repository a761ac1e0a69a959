"""SAM's attention without a matrix of all pairs, under the names and with the numbers of SAM's own.

Two exact rearrangements of `segment_anything.modeling`:

- The neck's blocks add to each logit two terms, of the query and of how many rows and columns the
  key lies away. Carried inside query and key (the terms behind the query, a one for the key's row
  and its column behind the key) they leave a plain attention, which torch has a fused kernel for.
- In the two-way decoder a few tokens meet thousands of cells. A token multiplied into a projection
  once gives the same products as every cell's projection would, with a fraction of the work.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from segment_anything.modeling.image_encoder import Attention as SamAttention
from segment_anything.modeling.image_encoder import Block, get_rel_pos
from segment_anything.modeling.transformer import Attention as CrossAttention
from segment_anything.modeling.transformer import TwoWayAttentionBlock, TwoWayTransformer
from torch import Tensor

from ovsam_plugin.hardware.precision import cpu_has_tiles

# Numbers of position terms at once, where they are added and not carried: 128 MB of them.
_TERMS_AT_ONCE = 1 << 25


class NeckBlock(Block):  # type: ignore[misc]
    """SAM's ViT block, everywhere or in windows."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, h, w, C) to the same."""
        x = x + attend(self.attn, self.norm1(x), self.window_size)
        return x + self.mlp(self.norm2(x))  # type: ignore[no-any-return]


def attend(attention: SamAttention, x: Tensor, window: int) -> Tensor:
    """SAM's attention over a map, in windows of so many cells a side where that is not 0.

    Args:
        attention: its weights.
        x: (B, h, w, C).
        window: 0 for everywhere.

    Returns:
        (B, h, w, C).
    """
    b, h, w, _ = x.shape
    qkv: Tensor = attention.qkv(x)
    down, across = (-(-side // window) if window else 1 for side in (h, w))
    rows, columns = (window, window) if window else (h, w)
    if (down * rows, across * columns) != (h, w):
        # SAM pads before it projects: of zeros the bias is left.
        padded = attention.qkv.bias.to(qkv.dtype).expand(b, down * rows, across * columns, -1)
        padded = padded.clone(memory_format=torch.contiguous_format)
        padded[:, :h, :w] = qkv
        qkv = padded
    heads = attention.num_heads
    parts = qkv.view(b, down, rows, across, columns, 3, heads, -1)
    parts = parts.permute(5, 0, 1, 3, 6, 2, 4, 7).reshape(3, -1, rows, columns, parts.shape[-1])
    q, k, v = parts.unbind(0)
    seen = with_positions(
        q,
        k,
        v,
        get_rel_pos(rows, rows, attention.rel_pos_h),
        get_rel_pos(columns, columns, attention.rel_pos_w),
        attention.scale,
    )
    seen = seen.view(b, down, across, heads, rows, columns, -1).permute(0, 1, 4, 2, 5, 3, 6)
    seen = seen.reshape(b, down * rows, across * columns, -1)
    return attention.proj(seen[:, :h, :w])  # type: ignore[no-any-return]


def with_positions(
    q: Tensor, k: Tensor, v: Tensor, by_row: Tensor, by_column: Tensor, scale: float
) -> Tensor:
    """Attention of every cell to every cell with SAM's decomposed relative positions.

    Args:
        q, k, v: (B, h, w, C).
        by_row: (h, h, C), what the query is multiplied with for each row of the key.
        by_column: (w, w, C), the same for columns.
        scale: of the products of query and key.

    Returns:
        (B, h * w, C).
    """
    b, h, w, c = q.shape
    rows = torch.einsum("bhwc,hkc->bhwk", q, by_row.to(q.dtype)).reshape(b, h * w, h)
    columns = torch.einsum("bhwc,wkc->bhwk", q, by_column.to(q.dtype)).reshape(b, h * w, w)
    q, k, v = (x.reshape(b, h * w, c) for x in (q, k, v))
    # Which is faster was measured: the wider products cost more than terms that are added where
    # products are dear, on a CPU that has no tiles for them. The kernel takes no gradient of such
    # terms.
    cheap = q.device.type != "cpu" or (q.dtype == torch.bfloat16 and cpu_has_tiles())
    if not cheap and not rows.requires_grad:
        part = max(1, _TERMS_AT_ONCE // (h * w) ** 2)
        seen = [
            F.scaled_dot_product_attention(
                q[i : i + part, None],
                k[i : i + part, None],
                v[i : i + part, None],
                attn_mask=(rows[i : i + part, :, :, None] + columns[i : i + part, :, None, :]).view(
                    -1, 1, h * w, h * w
                ),
                scale=scale,
            )[:, 0]
            for i in range(0, b, part)
        ]
        return torch.cat(seen)
    one = torch.ones(h * w, device=q.device, dtype=q.dtype)
    place = torch.arange(h * w, device=q.device)
    keys = torch.zeros(h * w, h + w, device=q.device, dtype=q.dtype)
    keys[place, place // w], keys[place, h + place % w] = one, one
    query = torch.cat([q * scale, rows.to(q.dtype), columns.to(q.dtype)], -1)
    key = torch.cat([k, keys.expand(b, -1, -1)], -1)
    # The kernels want all three of one width, that of a GPU a multiple of 8.
    pad = -query.shape[-1] % 8
    query, key = F.pad(query, (0, pad)), F.pad(key, (0, pad))
    value = F.pad(v, (0, query.shape[-1] - c))
    carried = F.scaled_dot_product_attention(
        query[:, None], key[:, None], value[:, None], scale=1.0
    )
    return carried[:, 0, :, :c]


class TwoWayDecoder(TwoWayTransformer):  # type: ignore[misc]
    """SAM's two-way transformer, for N prompts on one image or on one each."""

    def forward(self, image: Tensor, positions: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens look at cells, and cells at tokens.

        Args:
            image: (N, C, h, w), or (1, C, h, w) where all N prompts see the same: what does not
                depend on the prompt is then computed once.
            positions: (1, C, h, w), of the cells.
            tokens: (N, T, C).

        Returns:
            The tokens (N, T, C) and the cells (N, h * w, C).
        """
        cells = image.flatten(2).transpose(1, 2)
        places = positions.flatten(2).transpose(1, 2)
        queries = tokens
        for layer in self.layers:
            queries, cells = _both_ways(layer, queries, cells, tokens, places)
        read = tokens_to_cells(
            self.final_attn_token_to_image, queries + tokens, cells + places, cells
        )
        return self.norm_final_attn(queries + read), cells.expand(len(tokens), -1, -1)


def _both_ways(
    layer: TwoWayAttentionBlock, queries: Tensor, cells: Tensor, tokens: Tensor, places: Tensor
) -> tuple[Tensor, Tensor]:
    if layer.skip_first_layer_pe:
        queries = layer.self_attn(q=queries, k=queries, v=queries)
    else:
        placed = queries + tokens
        queries = queries + layer.self_attn(q=placed, k=placed, v=queries)
    queries = layer.norm1(queries)
    there = cells + places
    read = tokens_to_cells(layer.cross_attn_token_to_image, queries + tokens, there, cells)
    queries = layer.norm2(queries + read)
    queries = layer.norm3(queries + layer.mlp(queries))
    read = cells_to_tokens(layer.cross_attn_image_to_token, there, queries + tokens, queries)
    return queries, layer.norm4(cells + read)


def tokens_to_cells(attention: CrossAttention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """SAM's attention of few queries to many keys; no key or value is projected.

    Args:
        attention: its weights.
        q: (N, T, C).
        k, v: (N, M, C), or (1, M, C) for all.

    Returns:
        (N, T, C).
    """
    n, t, _ = q.shape
    heads, width = attention.num_heads, attention.internal_dim // attention.num_heads
    asked = attention.q_proj(q).view(n, t, heads, width) * width**-0.5
    wanted = torch.einsum("nthd,hdc->nthc", asked, _by_head(attention.k_proj, heads, asked))
    wanted = wanted.reshape(n, t * heads, -1)
    if torch.is_grad_enabled():
        # The key's bias adds the same to all logits of a query, which the softmax takes away; to
        # devices that train together it must have a gradient all the same, of 0.
        bias = attention.k_proj.bias.to(asked.dtype).view(heads, width)
        same = torch.einsum("nthd,hd->nth", asked, bias).mean() * 0
        wanted = wanted + same
    if len(k) < n:
        likeness = (k[0] @ wanted.flatten(0, 1).T).view(-1, n, t * heads).permute(1, 2, 0)
        seen = (likeness.softmax(-1).flatten(0, 1) @ v[0]).view(n, t, heads, -1)
    else:
        seen = ((wanted @ k.mT).softmax(-1) @ v).view(n, t, heads, -1)
    told = torch.einsum("nthc,hdc->nthd", seen, _by_head(attention.v_proj, heads, seen))
    told = told.reshape(n, t, -1) + attention.v_proj.bias.to(told.dtype)
    return attention.out_proj(told)  # type: ignore[no-any-return]


def cells_to_tokens(attention: CrossAttention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """SAM's attention of many queries to few keys; no query is projected, nor what it reads.

    Args:
        attention: its weights.
        q: (N, M, C), or (1, M, C) for all.
        k, v: (N, T, C).

    Returns:
        (N, M, C).
    """
    n, t, _ = k.shape
    heads, width = attention.num_heads, attention.internal_dim // attention.num_heads
    keys = attention.k_proj(k).view(n, t, heads, width) * width**-0.5
    wanted = torch.einsum("nthd,hdc->nhtc", keys, _by_head(attention.q_proj, heads, keys))
    wanted = wanted.reshape(n, heads * t, -1)
    bias = attention.q_proj.bias.to(keys.dtype).view(heads, width)
    added = torch.einsum("nthd,hd->nht", keys, bias).reshape(n, 1, heads * t)
    if len(q) < n:
        likeness = (q[0] @ wanted.flatten(0, 1).T).view(-1, n, heads * t).transpose(0, 1)
    else:
        likeness = q @ wanted.mT
    share = (likeness + added).view(n, -1, heads, t).softmax(-1).flatten(2)
    values = attention.v_proj(v).view(n, t, heads, width)
    out = attention.out_proj.weight.to(values.dtype).view(-1, heads, width)
    told = torch.einsum("nthd,chd->nhtc", values, out).reshape(n, heads * t, -1)
    seen: Tensor = torch.matmul(share, told) + attention.out_proj.bias.to(told.dtype)
    return seen


def _by_head(projection: torch.nn.Linear, heads: int, like: Tensor) -> Tensor:
    """(heads, width, C), a projection's weights."""
    return projection.weight.to(like.dtype).view(heads, -1, projection.in_features)
