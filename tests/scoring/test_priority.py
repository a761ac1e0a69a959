from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovsam_plugin.scoring import priority as module
from ovsam_plugin.scoring.priority import priority, shares

X, Y = [1.0, 0.0], [0.0, 1.0]


def test_what_looks_the_same_comes_once_before_it_comes_again() -> None:
    doubt = np.array([0.9, 0.8, 0.5, 0.4])
    found = priority(doubt, np.array([X, X, Y, Y]))
    assert np.argsort(-found, kind="stable").tolist() == [0, 2, 1, 3]
    assert found.tolist() == [0.9, 0.0, 0.5, 0.0]


def test_half_alike_takes_the_share_that_the_cosine_says() -> None:
    cosine = 0.96
    other = [cosine, np.sqrt(1 - cosine**2)]
    found = priority([0.9, 0.8], np.array([X, other]))
    assert found == pytest.approx([0.9, 0.8 * (1 - cosine**16)])


def test_what_has_no_doubt_has_none_and_what_has_no_embedding_keeps_its_own() -> None:
    found = priority([0.3, None, 0.6, 0.2], np.array([X, X, [0.0, 0.0], [-1.0, 0.0]]))
    assert np.isnan(found[1])
    assert found[[0, 2, 3]].tolist() == [0.3, 0.6, 0.2]
    assert not len(priority([], np.zeros((0, 2))))


def rounds(doubt: np.ndarray, looks: np.ndarray) -> np.ndarray:
    """The rule written a second time, one instance after another."""
    units = looks / np.linalg.norm(looks, axis=1, keepdims=True)
    alike = np.clip(units @ units.T, 0, 1) ** 16
    left, found = doubt.copy(), np.zeros(len(doubt))
    for _ in range(len(doubt)):
        place = int(left.argmax())
        found[place] = left[place]
        left = left * (1 - alike[place])
        left[found > 0] = -1
    return found


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 200))
@settings(deadline=None, max_examples=40)  # busy machines
def test_it_is_the_greedy_order_and_falls_from_first_to_last(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    doubt, looks = rng.uniform(0.1, 1, count), rng.normal(1, 1, (count, 6))
    found = priority(doubt, looks)
    assert found == pytest.approx(rounds(doubt, looks), abs=1e-5)
    assert (found <= doubt + 1e-6).all()


def test_of_many_those_after_the_first_come_after_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST", 100)
    monkeypatch.setattr(module, "_POOL", 80)
    rng = np.random.default_rng(0)
    doubt, looks = rng.uniform(0, 1, 500), rng.normal(1, 1, (500, 6))
    found = priority(doubt, looks)
    first = np.argsort(-found, kind="stable")[:100]
    assert (np.delete(found, first) <= found[first].min()).all()
    greedy = np.argsort(-rounds(doubt, looks), kind="stable")[:100]
    assert len(np.intersect1d(first, greedy)) > 90


def test_shares_are_what_counts_of_the_doubt() -> None:
    found = shares([0.4, 0.0, None, 0.2], [0.8, 0.0, 0.5, None])
    assert found[:2].tolist() == [0.5, 1.0]
    assert np.isnan(found[2:]).all()


def test_lengths_agree() -> None:
    with pytest.raises(ValueError, match="doubt 2, embeddings 1"):
        priority([0.1, 0.2], np.array([X]))
