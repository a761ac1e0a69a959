"""The published files."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ovsam_plugin.checkpoints import sources
from ovsam_plugin.checkpoints.assemble import layout as expected_layout
from ovsam_plugin.presets import PRESETS
from tests.checkpoints import layout


def published(name: str) -> sources.Release:
    release = PRESETS[name].release
    assert release is not None
    return release


def test_the_published_sizes_are_those_of_what_the_files_are_said_to_hold() -> None:
    """The neck alone makes up the first file's size, so no encoder is in it; the others alike."""
    for name in ("ovsam-rn50x16-coco", "ovsam-rn50x16-lvis", "ovsam-rn50x16-demo"):
        ours = expected_layout(PRESETS[name].network)
        for part in published(name).parts[2:]:
            share = [v for k, v in ours.items() if k.startswith(part.takes)]
            held = sum(v.numel() * 4 for v in share)
            assert part.file.about == pytest.approx(held, rel=0.01)


def test_the_addresses_and_hashes_of_clip_are_open_clips() -> None:
    from open_clip.pretrained import get_pretrained_cfg

    for model in ("RN50", "RN50x4", "RN50x16", "RN50x64"):
        assert get_pretrained_cfg(model, "openai")["url"] == sources.clip_file(model).address
        assert sources.clip_file(model).sha256 in sources.clip_file(model).address
    with pytest.raises(ValueError, match="ViT-B-32"):
        sources.clip_file("ViT-B-32")


@pytest.mark.parametrize("model", ["RN50", "RN50x4", "RN50x16", "RN50x64"])
def test_every_key_of_a_clip_image_tower_has_its_place(model: str) -> None:
    import open_clip

    config = open_clip.get_model_config(model)
    with torch.device("meta"):
        clip = open_clip.CLIP(config["embed_dim"], config["vision_cfg"], config["text_cfg"])
        network = replace(
            layout.RN50,
            encoder=f"clip:{model}",
            embed_dim=config["embed_dim"],
            encoder_roi_size=config["vision_cfg"]["image_size"] // 32,
        )
    part = sources.clip_part(model)
    tower = {
        part.rename(k): v.shape
        for k, v in clip.state_dict().items()
        if not k.startswith(part.leaves)
    }
    ours = expected_layout(network)
    assert tower == {k: v.shape for k, v in ours.items() if k.startswith("backbone.")}
