from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovsam_plugin.scoring.outliers import outlierness


def two_kinds(seed: int = 0) -> tuple[np.ndarray, list[str | None]]:
    """20 cats and 20 dogs about two directions; the last of each is of the other kind."""
    rng = np.random.default_rng(seed)
    middles = rng.normal(size=(2, 16))
    rows = np.repeat(middles, 20, axis=0) + 0.2 * rng.normal(size=(40, 16))
    labels: list[str | None] = ["cat"] * 20 + ["dog"] * 20
    labels[19], labels[39] = "dog", "cat"
    return rows.astype(np.float32), labels


def test_instances_under_the_wrong_name_lie_farthest_out() -> None:
    rows, labels = two_kinds()
    assert set(np.argsort(-outlierness(rows, labels))[:2]) == {19, 39}


def test_it_is_one_less_the_cosine_to_the_mean_of_the_others() -> None:
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(12, 8)).astype(np.float32) + 1
    labels = ["a", "b"] * 6
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    expected = []
    for i, label in enumerate(labels):
        others = [j for j, other in enumerate(labels) if other == label and j != i]
        mean = units[others].mean(0)
        expected.append(max(1 - units[i] @ mean / np.linalg.norm(mean), 0))
    assert np.allclose(outlierness(rows, labels), expected, atol=1e-6)


def test_a_class_with_too_few_a_missing_name_and_an_empty_mask_get_none() -> None:
    rows, labels = two_kinds()
    labels[0], labels[1] = "yak", None
    rows[2] = 0
    found = np.isnan(outlierness(rows, labels))
    assert np.flatnonzero(found).tolist() == [0, 1, 2]
    assert np.isnan(outlierness(rows, labels, min_instances=21)).all()


@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None)  # busy machines
def test_neither_order_nor_length_of_embeddings_matters(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, labels = two_kinds(seed)
    shuffle = rng.permutation(len(rows))
    lengths = rng.uniform(0.5, 2, size=(len(rows), 1)).astype(np.float32)
    again = outlierness((rows * lengths)[shuffle], [labels[i] for i in shuffle])
    before = outlierness(rows, labels)
    assert np.allclose(again, before[shuffle], atol=1e-5)
    assert ((before >= 0) & (before <= 1)).all()


def test_copies_of_one_embedding_are_no_outliers_and_opposites_are_the_farthest() -> None:
    rows = np.tile(np.array([[1.0, 2.0]], np.float32), (6, 1))
    assert np.allclose(outlierness(rows, ["a"] * 6), 0, atol=1e-5)
    rows[5] *= -1
    assert outlierness(rows, ["a"] * 6)[5] == 1


def test_others_that_cancel_out_give_a_number_all_the_same() -> None:
    rows = np.array([[1, 0], [0, 1], [0, -1]], np.float32)
    assert np.isfinite(outlierness(rows, ["a"] * 3, min_instances=3)).all()


def test_no_instances_give_no_numbers() -> None:
    assert outlierness(np.zeros((0, 4), np.float32), []).shape == (0,)


def test_a_hundred_thousand_instances_of_1203_classes_take_seconds_at_most() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(100_000, 384)).astype(np.float32)
    labels = [f"class {i}" for i in rng.integers(0, 1203, len(rows))]
    start = time.process_time()
    assert np.isfinite(outlierness(rows, labels)).all()
    # 0.2 s measured; the room is for busy machines, and pairs of instances would not fit into it.
    assert time.process_time() - start < 10


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(ValueError, match="40 embeddings and 39 labels"):
        outlierness(two_kinds()[0], ["a"] * 39)
    with pytest.raises(ValueError, match="must be at least 2"):
        outlierness(*two_kinds(), min_instances=1)
