"""What decisions teach about names."""

from __future__ import annotations

import numpy as np
import pytest

from ovsam_plugin.scoring.deciding import Decisions, Prior, cross_validated, fit_head


def kinds(
    total: int = 120, classes: int = 4, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit vectors around a centre a class, their classes, and scores that know two of four."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(classes, 16))
    right = rng.integers(classes, size=total)
    vectors = centres[right] + 0.3 * rng.normal(size=(total, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = np.zeros((total, classes + 1), np.float32)
    scores[np.arange(total), np.where(right < 2, right, 3 - right)] = 2
    return vectors.astype(np.float32), right, scores


def decisions(places: np.ndarray, rejected: bool = False) -> Decisions:
    vectors, _, scores = kinds(len(places))
    taught, targets = np.unique(places, return_inverse=True)
    groups = np.arange(len(places)) // 4
    return Decisions(vectors, Prior.of(scores, taught), targets, groups, rejected)


def test_no_decision_teaches_nothing() -> None:
    vectors, right, scores = kinds()
    all_of_them = decisions(right)
    head = fit_head(all_of_them[np.zeros(0, np.int64)])
    assert head.shape == (4, 16)
    assert not head.any()


def test_a_class_without_a_decision_is_left_alone() -> None:
    _, right, _ = kinds()
    some = decisions(right)[np.flatnonzero(right != 2)]
    head = fit_head(some)
    assert not head[2].any()
    assert head[[0, 1, 3]].any(axis=1).all()


def test_the_head_is_where_the_loss_is_least() -> None:
    """Against the loss written a second time, over all the classes, by finite differences."""
    vectors, right, scores = kinds(60)
    some = decisions(right)
    head, ridge = fit_head(some, ridge=0.5).astype(np.float64), 0.5

    def loss(weights: np.ndarray) -> float:
        logits = scores.astype(np.float64)
        logits[:, :4] += vectors @ weights.T
        chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        fit = -np.log(chances[np.arange(60), right]).sum()
        return float(fit + ridge / 2 * (weights**2).sum())

    rng = np.random.default_rng(1)
    for _ in range(20):
        step = 1e-2 * rng.normal(size=head.shape)
        assert loss(head) < loss(head + step)


def test_strong_ridge_gives_the_words_their_say() -> None:
    _, right, _ = kinds()
    assert np.abs(fit_head(decisions(right), ridge=1e9)).max() < 1e-6


def test_what_is_learned_holds_on_photographs_that_were_not_learned_from() -> None:
    _, right, _ = kinds()
    gain = cross_validated(decisions(right))
    assert gain.judged == len(right)
    assert gain.before == (right < 2).sum()
    assert gain.after > 0.95 * len(right)


def test_what_photographs_alone_tell_is_no_gain() -> None:
    """One thing a photograph that no other has: judged within a photograph it would be learned."""
    rng = np.random.default_rng(0)
    vectors = np.repeat(rng.normal(size=(30, 64)), 4, axis=0).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    right = np.repeat(rng.integers(5, size=30), 4)
    scores = np.zeros((120, 6), np.float32)
    scores[:, 0] = 1e-3
    some = Decisions(vectors, Prior.of(scores, np.arange(5)), right, np.repeat(np.arange(30), 4))
    gain = cross_validated(some)
    alone = Decisions(vectors, some.prior, right, np.arange(120))
    assert cross_validated(alone).after > 110
    assert gain.after < 60


def test_rejected_ones_are_learned_from_and_not_judged() -> None:
    _, right, _ = kinds()
    places = np.where(right == 3, 4, right)
    some = decisions(places, rejected=True)
    gain = cross_validated(some)
    assert gain.judged == (right != 3).sum()
    head = fit_head(some)
    nothing = some.vectors[places == 4] @ head[-1]
    assert nothing.min() > (some.vectors[places != 4] @ head[-1]).mean()


def test_a_name_that_no_decision_gives_can_still_be_the_best() -> None:
    scores = np.array([[0.0, 5.0, 1.0, 0.0]], np.float32)
    prior = Prior.of(scores, np.array([2]))
    assert prior.rival[0] == 5
    assert prior.rest[0] == pytest.approx(np.log(1 + np.exp(5) + 1))
    one = Decisions(np.ones((1, 2), np.float32), prior, np.array([0]), np.array([0]))
    two = Decisions(
        np.ones((2, 2), np.float32), Prior.of(np.repeat(scores, 2, 0), np.array([2])),
        np.array([0, 0]), np.array([0, 1]),
    )  # fmt: skip
    assert len(one) == 1
    assert cross_validated(two).before == 0


def test_scores_of_other_instances_are_refused() -> None:
    vectors, right, scores = kinds()
    with pytest.raises(ValueError, match="for every decision"):
        Decisions(vectors[:-1], Prior.of(scores, np.arange(4)), right, right)
    with pytest.raises(ValueError, match="not one of 3"):
        Decisions(vectors, Prior.of(scores, np.arange(3)), right, right)
