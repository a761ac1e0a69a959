"""The offline text tower: what it gives, and what it says of sentences that it cannot read."""

from __future__ import annotations

import numpy as np
import pytest

from ovsam_plugin.vocabulary.text import TextTower, load_text_tower


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
