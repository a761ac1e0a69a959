"""Our arrangements of SAM's attention give the numbers of SAM's own modules."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from open_clip.modified_resnet import AttentionPool2d
from segment_anything.modeling.image_encoder import Block
from segment_anything.modeling.transformer import TwoWayTransformer
from torch import Tensor, nn

from ovsam_plugin.network import attention
from ovsam_plugin.network.attention import NeckBlock, TwoWayDecoder
from ovsam_plugin.network.image_encoder import attention_pool


def randomized(module: nn.Module) -> nn.Module:
    """Every weight random, those that SAM starts at 0 too."""
    generator = torch.Generator().manual_seed(0)
    for weight in module.parameters():
        weight.data = torch.randn(weight.shape, generator=generator) * 0.2
    return module.eval()


def pair(ours: nn.Module, theirs: nn.Module) -> tuple[nn.Module, nn.Module]:
    theirs.load_state_dict(randomized(ours).state_dict())
    return ours, theirs.eval()


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("graded", [False, True], ids=["inference", "training"])
@pytest.mark.parametrize("window", [0, 4])
@pytest.mark.parametrize("size", [(10, 10), (7, 12)], ids=["square", "wide"])
def test_a_block_is_sams(size: tuple[int, int], window: int, graded: bool) -> None:
    def make(kind: type[nn.Module]) -> nn.Module:
        return kind(
            dim=24,
            num_heads=3,
            use_rel_pos=True,
            window_size=window,
            input_size=(10, 10),
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
        )

    ours, theirs = pair(make(NeckBlock), make(Block))
    x = noise(2, *size, 24)
    with torch.set_grad_enabled(graded):
        found, expected = ours(x), theirs(x)
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-5)
    if graded:
        found.square().sum().backward()
        expected.square().sum().backward()
        for (name, a), b in zip(ours.named_parameters(), theirs.parameters()):
            assert a.grad is not None, name
            scale = float(b.grad.abs().max())
            torch.testing.assert_close(a.grad, b.grad, atol=1e-4 * scale, rtol=1e-3)


@torch.inference_mode()
def test_terms_are_added_to_a_few_heads_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    block = randomized(NeckBlock(24, 3, use_rel_pos=True, input_size=(6, 6)))
    x = noise(2, 6, 6, 24)
    whole = block(x)
    monkeypatch.setattr("ovsam_plugin.network.attention._TERMS_AT_ONCE", 2 * 36**2)
    torch.testing.assert_close(block(x), whole)


@pytest.mark.parametrize("tiles", [True, False], ids=["carried", "added"])
@torch.inference_mode()
def test_half_precision_stays_near(tiles: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Terms are carried inside query and key where the processor has tiles, added elsewhere."""
    monkeypatch.setattr(attention, "cpu_has_tiles", lambda: tiles)
    block = randomized(NeckBlock(24, 3, use_rel_pos=True, input_size=(6, 6)))
    x = noise(1, 6, 6, 24)
    whole = block(x)
    seen: list[int] = []

    def kernel(query: Tensor, *rest: Tensor, **settings: Any) -> Tensor:
        seen.append(query.shape[-1])
        return plain(query, *rest, **settings)

    plain = F.scaled_dot_product_attention
    monkeypatch.setattr(F, "scaled_dot_product_attention", kernel)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = block(x)
    assert seen == [24 if tiles else 8]
    assert half.dtype == torch.float32  # the residual's
    assert 0 < (half - whole).abs().max() < 0.02 * whole.abs().max()


@pytest.mark.parametrize("tokens", [1, 4, 30])
@pytest.mark.parametrize("shared", [True, False], ids=["one image", "an image each"])
@torch.inference_mode()
def test_the_two_way_transformer_is_sams(shared: bool, tokens: int) -> None:
    settings = {"depth": 2, "embedding_dim": 32, "num_heads": 4, "mlp_dim": 48}
    ours, theirs = pair(TwoWayDecoder(**settings), TwoWayTransformer(**settings))
    image, positions = noise(1 if shared else 3, 32, 5, 7), noise(1, 32, 5, 7) * 0.5
    asked = noise(3, tokens, 32)
    found = ours(image, positions, asked)
    expected = theirs(image.expand(3, -1, -1, -1), positions.expand(3, -1, -1, -1), asked)
    for a, b in zip(found, expected):
        torch.testing.assert_close(a, b, atol=2e-5, rtol=1e-4)


@torch.inference_mode()
def test_the_attention_pool_is_clips() -> None:
    pool = randomized(AttentionPool2d(5, 64, 8, 24))
    regions = noise(4, 64, 5, 5)
    expected = pool(regions)
    found = attention_pool(pool, regions)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(attention_pool(pool, regions, torch.ones(4, 5, 5)), found)
    assert attention_pool(pool, regions[:0]).shape == (0, 24)
