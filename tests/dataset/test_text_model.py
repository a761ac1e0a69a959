"""The model that reads the words of a search."""

from __future__ import annotations

from pathlib import Path

import fiftyone.zoo as foz
import numpy as np
import pytest

from ovsam_plugin.dataset.embedder import Embedder
from ovsam_plugin.dataset.text_model import load_text_model
from ovsam_plugin.dataset.zoo_source import ANY_TEXT_MODEL, TEXT_MODELS, install
from ovsam_plugin.presets import PRESETS
from ovsam_plugin.vocabulary import load_vocabulary
from ovsam_plugin.vocabulary.classifier import build_classifier
from ovsam_plugin.vocabulary.templates import PLAIN_TEMPLATES
from tests.namers.open_clip_model import write_model


def test_a_text_model_reads_words_as_the_preset_s_tower_does(zoo: Path) -> None:
    install()
    words = foz.load_zoo_model("ovsam-lite-text", device="cpu", cache=False)
    rows = words.embed_prompts(["a red_bus", "a red bus", "a cat"])
    assert rows.shape == (3, 768)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert np.array_equal(rows[:, :384], rows[:, 384:])
    assert np.allclose(rows[0], rows[1])
    classifier = build_classifier(load_vocabulary(["a cat"]), "minilm", PLAIN_TEMPLATES)
    assert np.allclose(rows[2, :384] * np.sqrt(2), classifier.embeddings[0], atol=1e-5)
    with pytest.raises(ValueError, match="the text to search for is empty"):
        words.embed_prompt("  ")


def test_every_preset_has_a_text_model_with_its_own_tower() -> None:
    for name, preset in PRESETS.items():
        owner = PRESETS[TEXT_MODELS[Embedder(name, "").text_model[0]]]
        assert owner.text_tower == preset.text_tower
    assert set(TEXT_MODELS) <= set(foz.list_zoo_models())


def test_a_model_of_a_namer_needs_its_name_and_its_weights(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give namer='openclip:MODEL/WEIGHTS'"):
        load_text_model(ANY_TEXT_MODEL)
    namer = write_model(tmp_path)
    rows = load_text_model(ANY_TEXT_MODEL, "cpu", namer=namer).embed_prompts(["a cat", "a cup"])
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert np.array_equal(rows[:, :48], rows[:, 48:])
    with pytest.raises(ValueError, match="with other weights than it has now"):
        load_text_model(ANY_TEXT_MODEL, "cpu", namer=namer, fingerprint="0" * 64)
