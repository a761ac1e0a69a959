from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ovsam_plugin.baselines.context import (
    Context,
    ContextTower,
    PromptableTower,
    context_classifier,
    read_names,
    word_vectors,
)
from ovsam_plugin.vocabulary import PLAIN_TEMPLATES, build_classifier, load_vocabulary
from ovsam_plugin.vocabulary.openclip import OpenClipTower
from ovsam_plugin.vocabulary.text import load_text_tower
from tests.vocabulary.test_text_golden import tower as golden_tower  # noqa: F401

WORDS = "a photo of a"
NAMES = ["cat.", "fire hydrant.", "hair drier."]


@pytest.fixture(scope="module")
def minilm() -> PromptableTower:
    return load_text_tower("minilm", "cpu")  # type: ignore[return-value]


def context(tower: PromptableTower, words: str = WORDS, method: str = "image-crop") -> Context:
    return Context(word_vectors(tower, words), method, tower.fingerprint, {"steps": 0})


@pytest.fixture(scope="module", params=["minilm", "clip"])
def tower(
    request: pytest.FixtureRequest,
    minilm: PromptableTower,
    golden_tower: OpenClipTower,  # noqa: F811
) -> PromptableTower:
    return minilm if request.param == "minilm" else golden_tower


def test_a_context_of_words_reads_exactly_as_those_words(tower: PromptableTower) -> None:
    with torch.inference_mode():
        ours = read_names(tower, word_vectors(tower, WORDS), NAMES)
        plain = tower.forward([f"{WORDS} {name}" for name in NAMES]).float()
    plain = torch.nn.functional.normalize(plain, dim=-1)
    assert torch.equal(ours, plain)
    alone = tower.encode([f"{WORDS} {NAMES[0]}"])
    np.testing.assert_allclose(ours[:1].numpy(), alone, atol=1e-6)


def test_another_context_reads_otherwise_and_leaves_the_tower_as_it_was(
    tower: PromptableTower,
) -> None:
    before = tower.encode(NAMES)
    vectors = word_vectors(tower, WORDS).requires_grad_(True)
    read_names(tower, vectors, NAMES).sum().backward()
    assert vectors.grad is not None
    assert (vectors.grad.abs().sum(1) > 0).all()
    with torch.no_grad():
        other = read_names(tower, vectors * -1, NAMES)
        assert not torch.allclose(other, read_names(tower, vectors, NAMES), atol=1e-3)
    np.testing.assert_array_equal(tower.encode(NAMES), before)


def test_a_classifier_after_the_words_of_a_template_is_the_templates(
    minilm: PromptableTower,
) -> None:
    vocabulary = load_vocabulary("cat|kitty, fire hydrant")
    plain = build_classifier(vocabulary, minilm, PLAIN_TEMPLATES)
    ours = context_classifier(vocabulary, minilm, context(minilm))
    np.testing.assert_allclose(ours.embeddings, plain.embeddings, atol=1e-6)
    np.testing.assert_array_equal(ours.owner, plain.owner)
    other = context_classifier(vocabulary, minilm, context(minilm, "no sign of any"))
    assert np.abs(other.embeddings - plain.embeddings).max() > 1e-2


def test_a_context_is_kept_with_where_it_comes_from(
    minilm: PromptableTower, tmp_path: Path
) -> None:
    path = tmp_path / "new" / "context.safetensors"
    made = context(minilm)
    made.save(path)
    loaded = Context.load(path)
    assert torch.equal(loaded.vectors, made.vectors)
    assert (loaded.method, loaded.tower) == ("image-crop", minilm.fingerprint)
    assert loaded.provenance == {"steps": 0}


def test_a_context_of_another_tower_is_refused(minilm: PromptableTower) -> None:
    foreign = Context(torch.zeros(2, 384), "image-crop", "another", {})
    with pytest.raises(ValueError, match="another text tower than minilm"):
        ContextTower(minilm, foreign)


def test_what_is_no_context_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="train one first"):
        Context.load(tmp_path / "none.safetensors")
    other = tmp_path / "other.safetensors"
    save_file({"vectors": torch.zeros(1)}, other)
    with pytest.raises(ValueError, match="not a learned context"):
        Context.load(other)
    other.write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="not a valid safetensors file"):
        Context.load(other)
