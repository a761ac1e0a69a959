"""The image half of an open_clip model."""

from __future__ import annotations

import numpy as np
import open_clip
import pytest
import torch

from ovsam_plugin.namers.clip_tower import clip_tower
from ovsam_plugin.vocabulary.text import load_openclip
from tests.namers.open_clip_model import write_model


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A checkpoint of a small CLIP, by the name that both its halves are asked for."""
    return write_model(tmp_path_factory.mktemp("clip"), "RN-namer")


def test_image_crop_is_clips_own_embedding_of_the_cut_out(clip: str) -> None:
    model, _ = load_openclip(clip)
    model.eval()
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    mean, std = (np.array(model.visual.preprocess_cfg[key]) for key in ("mean", "std"))
    pixels = torch.from_numpy(((picture / 255 - mean) / std).astype(np.float32))
    with torch.inference_mode():
        expected = model.encode_image(pixels.permute(2, 0, 1)[None])
    found = clip_tower("RN-namer", model).embed_pictures([picture])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_a_vit_names_cut_outs_and_has_no_map(clip: str) -> None:
    assert "RN-namer" in clip  # registered the small ViT too
    tower = clip_tower("ViT-namer", open_clip.create_model("ViT-namer", pretrained=None))
    picture = np.zeros((tower.crop_size, tower.crop_size, 3), dtype=np.uint8)
    assert tower.embed_pictures([picture]).shape == (1, 48)
    with pytest.raises(ValueError, match="VisionTransformer.*use image-crop"):
        tower.last_stage(picture)
