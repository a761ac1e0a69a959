from __future__ import annotations

import numpy as np
import pytest
import torch

from ovsam_plugin.recognition.fusion import Fusion
from ovsam_plugin.recognition.recognizer import Recognizer, seen_classes
from ovsam_plugin.vocabulary.classifier import Classifier
from ovsam_plugin.vocabulary.vocabulary import Category, Vocabulary


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def classifier(synonyms: list[int], dim: int = 8, seed: int = 0) -> Classifier:
    """A vocabulary of random embeddings, `synonyms[i]` of class i."""
    categories = tuple(
        Category(f"class {i}", tuple(f"class {i} alias {j}" for j in range(n)))
        for i, n in enumerate(synonyms)
    )
    rows = unit(np.random.default_rng(seed).standard_normal((sum(synonyms), dim)))
    owner = np.repeat(np.arange(len(synonyms)), synonyms)
    return Classifier(Vocabulary("test", categories), rows, owner)


def test_an_instance_is_named_by_the_text_it_is_nearest_to() -> None:
    made = classifier([1, 3, 2])
    recognizer = Recognizer(made, Fusion())
    result = recognizer.recognize(
        made.embeddings[[2, 5, 0]], made.embeddings[[2, 5, 0]], np.zeros(3, dtype=bool)
    )
    assert result.names == ("class 1", "class 2", "class 0")
    np.testing.assert_allclose(result.similarity, 1.0, atol=1e-6)
    assert (result.confidence > 0.9).all()
    assert result.top_indices.shape == result.top_scores.shape == (3, 3)
    np.testing.assert_allclose(result.margin, result.top_scores[:, 0] - result.top_scores[:, 1])
    assert (np.diff(result.top_scores, axis=1) <= 0).all()


@pytest.mark.parametrize("scales", [(20.0, 60.0), (60.0, 20.0), (1.0, 100.0)])
def test_each_branch_has_a_scale_of_its_own(scales: tuple[float, float]) -> None:
    """A cosine is a cosine whatever it is multiplied by, and each score is of its own softmax."""
    made = classifier([1, 1])
    rng = np.random.default_rng(3)
    head, clip = (unit(rng.standard_normal((5, 8))) for _ in range(2))
    fusion = Fusion(head_scale=scales[0], clip_scale=scales[1])
    found = Recognizer(made, fusion).recognize(head, clip, np.zeros(5, dtype=bool))
    rows = np.arange(5)
    cosines = [branch @ made.embeddings.T for branch in (head, clip)]
    np.testing.assert_allclose(found.similarity, cosines[1][rows, found.indices], atol=1e-5)
    for score, cosine, scale in zip((found.head_score, found.clip_score), cosines, scales):
        logits = torch.from_numpy(np.pad(cosine * scale, ((0, 0), (0, 1))))
        expected = logits.softmax(-1).numpy()[rows, found.indices]
        np.testing.assert_allclose(score, expected, atol=1e-4)


def test_what_is_unlike_every_class_has_low_confidence() -> None:
    made = classifier([1, 1])
    away = -unit(made.embeddings.sum(0, keepdims=True))
    result = Recognizer(made, Fusion()).recognize(away, away, np.zeros(1, dtype=bool))
    assert result.confidence[0] < 0.05
    assert result.similarity[0] < 0


def test_the_background_is_the_heads_own_probability_of_none_of_the_classes() -> None:
    made = classifier([2, 1, 3])
    rng = np.random.default_rng(3)
    head, clip = (unit(rng.standard_normal((5, 8))) for _ in range(2))
    head[0], head[1] = made.embeddings[0], -unit(made.embeddings.sum(0, keepdims=True))[0]
    recognizer = Recognizer(made, Fusion(head_scale=10.0, clip_scale=30.0))
    found = recognizer.recognize(head, clip, np.zeros(5, dtype=bool))
    cosines = head @ made.embeddings.T
    best = np.stack([cosines[:, made.owner == k].max(1) for k in range(3)], 1)
    expected = 1 / (1 + np.exp(10 * best).sum(1))
    np.testing.assert_allclose(found.background, expected, atol=1e-6)
    assert found.background[0] < 0.01 < 0.1 < found.background[1]
    np.testing.assert_array_equal(found[np.array([1, 0])].background, found.background[[1, 0]])


def test_seen_classes_trust_the_head_and_unseen_ones_the_encoder() -> None:
    made = classifier([1, 1])
    head, clip = made.embeddings[[0]], made.embeddings[[1]]
    none, both = np.zeros(2, dtype=bool), np.ones(2, dtype=bool)
    names = [
        Recognizer(made, Fusion(), seen).recognize(head, clip, np.zeros(1, dtype=bool)).names[0]
        for seen in (none, both)
    ]
    assert names == ["class 1", "class 0"]


def test_an_empty_mask_is_named_by_the_head_alone() -> None:
    made = classifier([1, 1])
    head, clip = made.embeddings[[0, 0]], made.embeddings[[1, 1]]
    result = Recognizer(made, Fusion()).recognize(head, clip, np.array([False, True]))
    assert result.names == ("class 1", "class 0")
    np.testing.assert_allclose(result.confidence[1], result.head_score[1], atol=1e-6)


def test_many_instances_are_named_as_one_by_one() -> None:
    made = classifier([2] * 7)
    rng = np.random.default_rng(0)
    head, clip = (unit(rng.standard_normal((2100, 8))) for _ in range(2))
    empty = rng.random(2100) < 0.1
    recognizer = Recognizer(made, Fusion())
    together = recognizer.recognize(head, clip, empty)
    for i in (0, 1023, 1024, 2099):
        alone = recognizer.recognize(head[i : i + 1], clip[i : i + 1], empty[i : i + 1])
        assert alone.names[0] == together.names[i]
        np.testing.assert_allclose(alone.top_scores[0], together.top_scores[i], atol=1e-5)


def test_no_instance_and_one_class_are_answered() -> None:
    made = classifier([1])
    recognizer = Recognizer(made, Fusion())
    none = recognizer.recognize(*[np.zeros((0, 8), dtype=np.float32)] * 2, np.zeros(0, dtype=bool))
    assert len(none) == 0
    assert none.names == ()
    one = recognizer.recognize(made.embeddings, made.embeddings, np.zeros(1, dtype=bool))
    assert one.top_scores.shape == (1, 1)
    assert one.margin[0] == one.confidence[0]


def test_embeddings_of_another_text_tower_are_refused() -> None:
    recognizer = Recognizer(classifier([1, 1]), Fusion())
    wrong = np.zeros((2, 16), dtype=np.float32)
    with pytest.raises(ValueError, match="8 dimensions"):
        recognizer.recognize(wrong, wrong, np.zeros(2, dtype=bool))


def test_a_class_is_seen_by_any_of_its_synonyms_whatever_the_case() -> None:
    vocabulary = Vocabulary("v", (Category("Sofa", ("couch",)), Category("lamp", ("light",))))
    assert seen_classes(vocabulary, ["Couch", "bed"]).tolist() == [True, False]
