"""What examples of a class say about other instances."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ovsam_plugin.recognition.fusion import Fusion
from ovsam_plugin.recognition.prototypes import (
    AHEAD,
    SLOPE,
    TYPICAL,
    prototype,
    prototype_adapter,
    words_weigh,
)
from ovsam_plugin.recognition.recognizer import Recognizer
from ovsam_plugin.vocabulary.classifier import Classifier
from ovsam_plugin.vocabulary.vocabulary import Category, Vocabulary

FUSION = Fusion(head_scale=20.0, clip_scale=30.0)
SCALE = SLOPE * 25


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def near(direction: int, count: int, seed: int = 0, spread: float = 0.3) -> np.ndarray:
    """(count, 8) joined embeddings around an axis of both branches."""
    rng = np.random.default_rng(seed)
    half = np.eye(4)[direction] + spread * rng.normal(size=(count, 4))
    return unit(np.concatenate([unit(half), unit(half)], axis=1))


def classes(words: bool) -> Vocabulary:
    shown = Category("valve", examples=("a",), words=words)
    return Vocabulary("custom", (Category("cat"), Category("dog"), shown))


def recognizer(vocabulary: Vocabulary) -> Recognizer:
    """The words of the three classes lie on the first three axes; "valve" reads as "cat" does."""
    rows = np.eye(4, dtype=np.float32)[[0, 1, 0]]
    return Recognizer(Classifier(vocabulary, rows, np.arange(3)), FUSION)


def names(vocabulary: Vocabulary, examples: np.ndarray, asked: np.ndarray) -> list[str]:
    adapter = prototype_adapter(vocabulary, {2: examples}, FUSION, "x")
    half = asked.shape[1] // 2
    head, clip = unit(asked[:, :half]), unit(asked[:, half:])
    found = recognizer(vocabulary).adapted(adapter).recognize(head, clip, np.zeros(len(head), bool))
    return list(found.names)


@pytest.mark.parametrize("count", [1, 5])
def test_instances_like_the_examples_have_their_name_and_others_keep_theirs(count: int) -> None:
    vocabulary = classes(words=False)
    asked = np.concatenate([near(3, 10, seed=1, spread=0.04), near(1, 10, seed=2, spread=0.05)])
    found = names(vocabulary, near(3, count, spread=0.04), asked)
    assert found[:10].count("valve") >= 9
    assert found[10:] == ["dog"] * 10


@pytest.mark.parametrize("count", [1, 3])
def test_without_words_the_name_is_not_read(count: int) -> None:
    examples = near(3, count)
    adapter = prototype_adapter(classes(words=False), {2: examples}, FUSION, "x")
    assert adapter.kept.tolist() == [0]
    read = prototype_adapter(classes(words=True), {2: examples}, FUSION, "x")
    assert read.kept.tolist() == pytest.approx([words_weigh(count)])
    own = 1 - words_weigh(count)
    np.testing.assert_allclose(read.weights, adapter.weights * own, rtol=1e-6)
    # Of three classes both stand where words that know nothing do not reach.
    np.testing.assert_allclose(read.bias, adapter.bias * own, rtol=1e-5)
    assert AHEAD - math.log(3) > TYPICAL


def test_more_examples_weigh_more_beside_words() -> None:
    weights = [words_weigh(count) for count in (1, 2, 5, 100)]
    assert weights == sorted(weights, reverse=True)
    assert weights[1] == 0.5
    assert weights[-1] < 0.05


def test_an_instance_as_like_them_as_they_are_has_the_typical_score() -> None:
    """Of many examples, how alike they are is known: what was taken for it no longer counts."""
    examples = near(3, 400, spread=0.2)
    adapter = prototype_adapter(classes(words=False), {2: examples}, FUSION, "x")
    typical = AHEAD - math.log(3)
    scores = near(3, 400, seed=9, spread=0.2) @ adapter.weights[0] + adapter.bias[0]
    assert scores.mean() == pytest.approx(typical, abs=0.05)
    cosine = (examples @ prototype(examples)).mean()
    assert adapter.bias[0] == pytest.approx(typical - SCALE * cosine, abs=0.05)


def test_classes_without_examples_keep_their_scores_to_the_bit() -> None:
    vocabulary = classes(words=True)
    plain = recognizer(vocabulary)
    adapted = plain.adapted(prototype_adapter(vocabulary, {2: near(3, 4)}, FUSION, "x"))
    half = near(1, 50, spread=1.0)[:, :4]
    empty = np.zeros(50, bool)
    before, after = (r.log_scores(unit(half), unit(half), empty) for r in (plain, adapted))
    np.testing.assert_array_equal(np.delete(before, 2, 1), np.delete(after, 2, 1))
    assert (before[:, 2] != after[:, 2]).all()


def test_an_empty_mask_is_not_named_by_example() -> None:
    vocabulary = classes(words=False)
    plain = recognizer(vocabulary)
    adapted = plain.adapted(prototype_adapter(vocabulary, {2: near(3, 4)}, FUSION, "x"))
    nothing, empty = np.zeros((2, 4), np.float32), np.ones(2, bool)
    before, after = (r.log_scores(nothing, nothing, empty) for r in (plain, adapted))
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("examples", [np.zeros((0, 8), np.float32), np.zeros((1, 8), np.float32)])
def test_no_example_is_refused(examples: np.ndarray) -> None:
    with pytest.raises(ValueError, match="at least one example"):
        prototype_adapter(classes(words=False), {2: examples}, FUSION, "x")
