"""How names are read for embeddings."""

from __future__ import annotations

import torch

from ovsam_plugin.presets import PRESETS
from ovsam_plugin.recognition.fusion import fuse
from ovsam_plugin.recognition.text_side import SCALE, TextSide, single_branch


def test_every_preset_says_how_its_names_are_read() -> None:
    for name, preset in PRESETS.items():
        assert isinstance(preset, TextSide)
        assert preset.name == name
        assert all("{}" in template for template in preset.templates)


def test_one_embedding_given_as_both_branches_is_a_softmax_of_scaled_cosines() -> None:
    fusion = single_branch()
    assert fusion.head_scale == fusion.clip_scale == SCALE
    assert single_branch(20.0).clip_scale == 20.0
    logits = torch.tensor([[0.3, 0.1, 0.0]]) * SCALE
    seen = torch.tensor([True, False])
    fused = fuse(logits, logits, seen, torch.tensor([False]), fusion)
    torch.testing.assert_close(fused.softmax(-1), logits.softmax(-1))
