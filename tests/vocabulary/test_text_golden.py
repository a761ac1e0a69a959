"""The text half against numbers computed by the reference, with the golden recipe's weights.

Tolerances (absolute): tokens are equal; raw features, about 1 in size, within 5e-5; unit vectors
within 2e-6. Float32 noise between two machines is several times smaller.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch

from ovsam_plugin.vocabulary import CLIP_TEMPLATES, Category, Vocabulary, build_classifier
from ovsam_plugin.vocabulary.openclip import OpenClipTower
from tests.golden import recipe

GOLDEN = Path(__file__).parents[1] / "golden"
LONG = "naïve café \u2013 3.5mm jack_plug?! " * 12
TEXTS = [
    "a photo of a cat.",
    "There is the hair drier in the scene",
    "This is a photo of a large potted plant.",
    "a photo of a wine glass in the scene",
    LONG,
]
# The second and third of the four golden classes; each of the others costs some seconds.
CLASSES = ["traffic light", "tv remote,remote control"]


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    with np.load(GOLDEN / "case_text_RN50.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def tower() -> OpenClipTower:
    model = open_clip.create_model("RN50-quickgelu", pretrained=None)
    del model.visual
    state = {
        key: torch.from_numpy(recipe.make(f"clip.{key}", value.shape))
        for key, value in model.state_dict().items()
        if key != "logit_scale"
    }
    model.load_state_dict(state, strict=False)
    tokenizer = open_clip.get_tokenizer("RN50")
    return OpenClipTower("golden", model, tokenizer, "golden", device="cpu")


def test_tokens_are_the_reference_s_also_of_a_text_that_is_cut(golden: dict[str, Any]) -> None:
    np.testing.assert_array_equal(open_clip.get_tokenizer("RN50")(TEXTS).numpy(), golden["tokens"])


def test_features_are_the_reference_s(tower: OpenClipTower, golden: dict[str, Any]) -> None:
    np.testing.assert_allclose(tower.features(TEXTS), golden["features"], rtol=0, atol=5e-5)
    np.testing.assert_allclose(tower.features(TEXTS[:1]), golden["features_one"], rtol=0, atol=5e-5)


def test_a_text_longer_than_the_tower_reads_is_cut_with_a_warning(
    tower: OpenClipTower, golden: dict[str, Any]
) -> None:
    expected = golden["features"] / np.linalg.norm(golden["features"], axis=1, keepdims=True)
    with pytest.warns(UserWarning, match="reads 77 tokens and cuts: naïve"):
        vectors = tower.encode(TEXTS)
    np.testing.assert_allclose(vectors, expected, rtol=0, atol=2e-6)


def test_the_classifier_is_the_reference_s(
    tower: OpenClipTower, golden: dict[str, Any], tmp_path: Path
) -> None:
    synonyms = [recipe.synonyms(text) for text in CLASSES]
    vocabulary = Vocabulary("golden", tuple(Category(s[0], s) for s in synonyms))
    classifier = build_classifier(vocabulary, tower, CLIP_TEMPLATES, cache_dir=tmp_path)
    expected = golden["classifier"][1:3]
    assert classifier.owner.tolist() == [0, 1, 1]
    for index, own in enumerate(synonyms):
        rows = classifier.embeddings[classifier.owner == index]
        # The reference pads a class that has fewer synonyms with its first.
        padded = rows[[*range(len(own)), *[0] * (expected.shape[1] - len(own))]]
        np.testing.assert_allclose(padded, expected[index], rtol=0, atol=2e-6)
