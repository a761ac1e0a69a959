"""The adapter from the encoder's stages to SAM's image embedding."""

from __future__ import annotations

import pytest
import torch

from ovsam_plugin.network.description import NetworkDescription
from ovsam_plugin.network.sam2clip import Sam2ClipNeck

CHANNELS = (8, 12, 16, 24)
TINY = NetworkDescription(
    encoder="timm:none",
    embed_dim=16,
    image_size=128,
    neck_dim=16,
    neck_depth=2,
    neck_heads=2,
    neck_window=3,
    neck_global=(1,),
    channels=20,
)


@pytest.fixture
def neck() -> Sam2ClipNeck:
    torch.manual_seed(0)
    return Sam2ClipNeck(CHANNELS, TINY).eval()


def stages(height: int, width: int, batch: int = 1) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [
        torch.randn(batch, c, height // stride, width // stride, generator=generator)
        for c, stride in zip(CHANNELS, (4, 8, 16, 32))
    ]


@pytest.mark.parametrize(("height", "width"), [(128, 128), (64, 96)])
@torch.inference_mode()
def test_four_strides_become_one_map_at_stride_16(
    neck: Sam2ClipNeck, height: int, width: int
) -> None:
    assert neck(stages(height, width, batch=2)).shape == (2, 20, height // 16, width // 16)


@torch.inference_mode()
def test_every_stage_and_its_level_s_encoding_is_read(neck: Sam2ClipNeck) -> None:
    given = stages(128, 128)
    before = neck(given)
    for level in range(4):
        changed = [s + 1 if i == level else s for i, s in enumerate(given)]
        assert (neck(changed) - before).abs().max() > 1e-4
        neck.level_encoding.weight[level] += 1
        assert (neck(given) - before).abs().max() > 1e-4
        neck.level_encoding.weight[level] -= 1


@torch.inference_mode()
def test_a_smaller_picture_reads_the_corner_of_the_table_of_positions(neck: Sam2ClipNeck) -> None:
    before = neck(stages(64, 64))
    neck.get_buffer("pos_embed")[:, 4:] = 9
    neck.get_buffer("pos_embed")[:, :, 4:] = 9
    assert torch.equal(neck(stages(64, 64)), before)
    neck.get_buffer("pos_embed")[:, 3, 3] = 9
    assert not torch.equal(neck(stages(64, 64)), before)


@torch.inference_mode()
def test_photographs_of_a_batch_do_not_see_each_other(neck: Sam2ClipNeck) -> None:
    both = stages(128, 128, batch=2)
    torch.testing.assert_close(neck(both)[1:], neck([s[1:] for s in both]), atol=1e-5, rtol=1e-4)
