"""The text half of CLIP models: read no further than needed, refused where a file is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch

from ovsam_plugin.vocabulary.openclip import OpenClipTower
from ovsam_plugin.vocabulary.text import load_text_tower


def test_a_clip_tower_reads_no_further_than_the_longest_sentence_and_gives_the_same() -> None:
    torch.manual_seed(0)
    vision = {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8}
    words = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2}
    model = open_clip.CLIP(48, vision, words).eval()
    torch.nn.init.normal_(model.text_projection)
    tokenizer = open_clip.get_tokenizer("RN50")
    tower = OpenClipTower("tiny", model, tokenizer, "tiny", "cpu")
    read = []
    tower.table.register_forward_hook(lambda _, given, __: read.append(given[0].shape))
    for texts in (["cat", "a photo of a red bus."], ["cat " * 100, "cat"], [""]):
        read.clear()
        features = tower.features(texts)
        length = max(min(len(tokenizer.encode(text)) + 2, 77) for text in texts)
        assert read == [(len(texts), length)]
        with torch.inference_mode():
            whole = model.encode_text(tokenizer(texts)).numpy()
        # The features are of size ten, and sums of another length round otherwise.
        np.testing.assert_allclose(features, whole, rtol=1e-5, atol=1e-5)


def test_a_checkpoint_that_is_none_is_an_error_that_names_the_tower(tmp_path: Path) -> None:
    checkpoint = tmp_path / "weights.pt"
    checkpoint.write_bytes(b"not a checkpoint")
    with pytest.raises(RuntimeError, match="cannot load openclip:RN50-quickgelu/"):
        load_text_tower(f"openclip:RN50-quickgelu/{checkpoint}", "cpu")
