from __future__ import annotations

import numpy as np
import open_clip
import pytest
import torch

from ovsam_plugin.network.description import NetworkDescription
from ovsam_plugin.network.image_encoder import (
    ClipResNet,
    ImageEncoder,
    TimmClassifier,
    build_image_encoder,
)
from tests.golden import recipe

SIZES = {"clip:RN50": 1024, "timm:tf_efficientnet_lite2": 384}


@pytest.fixture(scope="module", params=SIZES)
def encoder(request: pytest.FixtureRequest) -> ImageEncoder:
    """An encoder with the golden recipe's weights."""
    made = build_image_encoder(NetworkDescription(encoder=request.param, embed_dim=384))
    state = {
        key: torch.from_numpy(np.asarray(recipe.make(f"backbone.{key}", tuple(value.shape))))
        for key, value in made.state_dict().items()
    }
    made.load_state_dict(state)
    return made.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def regions(encoder: ImageEncoder) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(3, encoder.channels[3], 7, 7, generator=generator)


def test_equal_weights_are_no_weights(encoder: ImageEncoder, regions: torch.Tensor) -> None:
    plain = encoder.features(regions)
    weighted = encoder.features(regions, torch.ones(3, 7, 7))
    torch.testing.assert_close(weighted, plain, atol=1e-4, rtol=1e-4)


def test_a_cell_of_weight_zero_is_not_read(encoder: ImageEncoder, regions: torch.Tensor) -> None:
    weights = torch.zeros(3, 7, 7)
    weights[:, 1:3, 2:6] = 1
    weights[2, 6, 6] = 0.5
    spoiled = torch.where((weights > 0)[:, None], regions, torch.full_like(regions, 9.0))
    expected = encoder.features(regions, weights)
    torch.testing.assert_close(encoder.features(spoiled, weights), expected)
    assert not torch.allclose(expected, encoder.features(regions), atol=1e-2)


def test_a_cell_counts_by_its_weight(encoder: ImageEncoder, regions: torch.Tensor) -> None:
    generator = torch.Generator().manual_seed(1)
    weights = torch.rand(3, 7, 7, generator=generator)
    found = encoder.features(regions, weights)
    share = (weights / weights.sum((1, 2), keepdim=True)).flatten(1)
    if isinstance(encoder, ClipResNet):
        cells = regions.flatten(2).mT
        tokens = torch.cat([(share[..., None] * cells).sum(1, keepdim=True), cells], 1)
        tokens = tokens + encoder.head.positional_embedding
        heads = [
            layer(tokens).unflatten(2, (32, 64)).transpose(1, 2)
            for layer in (encoder.head.q_proj, encoder.head.k_proj, encoder.head.v_proj)
        ]
        likeness = (heads[0][:, :, :1] @ heads[1].mT / 8).exp()
        likeness[..., 1:] *= weights.flatten(1)[:, None, None]
        seen = likeness / likeness.sum(-1, keepdim=True) @ heads[2]
        expected = encoder.head.c_proj(seen.flatten(1))
    else:
        maps = encoder.bn2(encoder.conv_head(regions)).flatten(2)
        expected = (maps * share[:, None]).sum(2)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_blocks_run_a_part_at_a_time_give_the_maps_of_all_at_once() -> None:
    made = build_image_encoder(
        NetworkDescription(encoder="timm:tf_efficientnet_lite2", embed_dim=384)
    ).eval()
    assert isinstance(made, TimmClassifier)
    pixels = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    expected = made(pixels)
    stem = made.bn1(made.conv_stem(pixels))
    for first in (3, 5, 6):
        early = made.run(stem, range(first))
        late = made.run(early[-1], range(first, len(made.blocks)))
        # What one part hands on to the next is read as a stage only where it is one.
        stages = [*(early if first - 1 in made.taps else early[:-1]), *late]
        assert len(stages) == len(expected) == 4
        for a, b in zip(stages, expected):
            torch.testing.assert_close(a, b)
    assert [tuple(x.shape[-2:]) for x in expected] == [(16, 24), (8, 12), (4, 6), (2, 3)]


def test_pictures_are_shown_as_clip_was_pretrained_with() -> None:
    assert ClipResNet.pretraining_pixels is not None
    for ours, theirs in zip(
        ClipResNet.pretraining_pixels,
        (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD),
    ):
        np.testing.assert_allclose(ours, np.array(theirs) * 255, atol=1e-3)
