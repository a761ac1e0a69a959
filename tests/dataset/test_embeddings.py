"""What is kept of instances."""

from __future__ import annotations

import numpy as np
import pytest

from ovsam_plugin.dataset.embeddings import StoredEmbeddings, join


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def branches() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return unit(rng.normal(size=(3, 8))), unit(rng.normal(size=(3, 8)))


@pytest.fixture
def stored(branches: tuple[np.ndarray, np.ndarray]) -> StoredEmbeddings:
    ids, samples = np.array(["a", "b", "c"]), np.array(["s", "s", "t"])
    return StoredEmbeddings(ids, samples, join(*branches))


def test_both_branches_come_back_from_one_unit_vector(
    stored: StoredEmbeddings, branches: tuple[np.ndarray, np.ndarray]
) -> None:
    assert np.allclose(np.linalg.norm(stored.vectors, axis=1), 1, atol=1e-6)
    assert np.allclose(stored.head, branches[0], atol=1e-6)
    assert np.allclose(stored.clip, branches[1], atol=1e-6)


def test_a_text_joined_to_itself_is_compared_with_both_branches(
    branches: tuple[np.ndarray, np.ndarray], stored: StoredEmbeddings
) -> None:
    words = unit(np.random.default_rng(1).normal(size=(1, 8)))
    cosines = stored.vectors @ join(words, words).T
    mean = (branches[0] @ words.T + branches[1] @ words.T) / 2
    assert np.allclose(cosines, mean, atol=1e-6)


def test_rows_are_found_by_label_and_those_without_are_told(stored: StoredEmbeddings) -> None:
    assert stored.rows(["c", "x", "a", "c"]).tolist() == [2, -1, 0, 2]
    assert stored.rows([]).tolist() == []


@pytest.mark.parametrize("keep", [np.array([2, 0]), np.array([True, False, True])])
def test_some_are_taken_with_all_that_is_theirs(stored: StoredEmbeddings, keep: np.ndarray) -> None:
    some = stored[keep]
    assert len(some) == 2
    assert set(some.label_ids.tolist()) == {"a", "c"}
    at = stored.rows(some.label_ids.tolist())
    assert (some.vectors == stored.vectors[at]).all()
    assert (some.sample_ids == stored.sample_ids[at]).all()
