from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ovsam_plugin.scoring.unknown import best_logit, group_unknown, unknownness

SCALES = {"weight": 0.25, "head_scale": 20.0, "clip_scale": 10.0}
KINDS = (9, 6, 3, 1, 1)
TRIPLES = st.integers(1, 9).flatmap(
    lambda n: st.tuples(
        arrays(np.float64, n, elements=st.floats(0, 1)),
        arrays(np.float64, n, elements=st.floats(-100, 100)),
        arrays(np.float64, n, elements=st.floats(-100, 100)),
    )
)


def kinds(seed: int = 0, copies: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings of kinds with 9, 6, 3, 1 and 1 members (times copies), mixed, and their kinds."""
    rng = np.random.default_rng(seed)
    middles = rng.normal(size=(len(KINDS), 64))
    kind = rng.permutation(np.repeat(np.arange(len(KINDS)), np.array(KINDS) * copies))
    rows = middles[kind] + 0.3 * rng.normal(size=(len(kind), 64))
    return rows.astype(np.float32), kind


def test_the_best_logit_is_of_the_class_that_both_branches_together_like_best() -> None:
    head = np.array([[0.5, 0.6], [0.1, 0.0]], np.float32)
    clip = np.array([[0.9, 0.1], [0.0, 0.9]], np.float32)
    # 15 x head + 2.5 x clip.
    assert np.allclose(best_logit(head, clip, **SCALES), [9.75, 2.25])


def test_a_word_more_never_makes_the_best_logit_smaller() -> None:
    rng = np.random.default_rng(0)
    head, clip = rng.uniform(-1, 1, (2, 30, 12))
    few, many = best_logit(head[:, :7], clip[:, :7], **SCALES), best_logit(head, clip, **SCALES)
    assert (many >= few).all()
    assert (many > few).any()


def test_cosines_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(2, 4\)"):
        best_logit(np.zeros((2, 3)), np.zeros((2, 4)), **SCALES)
    with pytest.raises(ValueError, match="there is no class"):
        best_logit(np.zeros((2, 0)), np.zeros((2, 0)), **SCALES)


def test_without_a_reference_it_is_what_the_confidence_lacks() -> None:
    found = unknownness([0.75, 0.1, None])
    assert np.allclose(found, [0.25, 0.9, np.nan], equal_nan=True)


def test_a_better_word_elsewhere_makes_a_confident_label_unknown() -> None:
    found = unknownness([0.9, 0.9, 0.9], known=[10, 10, 10], elsewhere=[0, 10, 20])
    assert np.allclose(found, [0.0, 0.081, 0.995], atol=1e-3)


def test_where_a_word_of_the_reference_fits_a_little_better_it_is_still_known() -> None:
    # Of a thousand words one fits better than the right one of eighty as a rule.
    assert unknownness([0.6], known=[10], elsewhere=[10.5])[0] < 0.35
    assert unknownness([0.1], known=[10], elsewhere=[12])[0] > 0.6


@given(triple=TRIPLES)
@settings(deadline=None)  # busy machines
def test_unknownness_stays_within_0_and_1_and_never_grows_with_the_confidence(
    triple: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    found = unknownness(*triple)
    assert ((found >= 0) & (found <= 1)).all()
    assert (unknownness(np.minimum(triple[0] + 0.1, 1), *triple[1:]) <= found + 1e-12).all()


@given(triple=TRIPLES, more=st.floats(0, 5))
@settings(deadline=None)  # busy machines
def test_unknownness_never_falls_when_words_elsewhere_fit_better(
    triple: tuple[np.ndarray, np.ndarray, np.ndarray], more: float
) -> None:
    confidence, known, elsewhere = triple
    before = unknownness(confidence, known, elsewhere)
    assert (unknownness(confidence, known, elsewhere + more) >= before - 1e-12).all()
    assert (unknownness(confidence, known + more, elsewhere) <= before + 1e-12).all()


def test_a_reference_needs_the_vocabulary_s_own_fit_beside_it() -> None:
    with pytest.raises(ValueError, match="both `known` and `elsewhere`"):
        unknownness([0.5], known=[1.0])
    with pytest.raises(ValueError, match="elsewhere 2"):
        unknownness([0.5], [1.0], [1.0, 2.0])


def test_groups_are_the_kinds_the_largest_first_and_singles_get_none() -> None:
    rows, kind = kinds()
    expected = np.array([1, 2, 3, 0, 0])[kind]
    assert np.array_equal(group_unknown(rows, np.ones(len(rows), dtype=bool)), expected)


def test_known_instances_and_empty_masks_get_no_group() -> None:
    rows, kind = kinds()
    rows[np.flatnonzero(kind == 0)[0]] = 0
    found = group_unknown(rows, kind != 1)
    assert not found[kind == 1].any()
    assert (found[kind == 0] > 0).sum() == 8
    assert set(found[kind == 2]) == {2}


@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None)  # busy machines
def test_neither_order_nor_length_of_embeddings_changes_who_is_together(seed: int) -> None:
    rows, kind = kinds(seed)
    rng = np.random.default_rng(seed)
    shuffle = rng.permutation(len(rows))
    lengths = rng.uniform(0.5, 2, size=(len(rows), 1)).astype(np.float32)
    everything = np.ones(len(rows), dtype=bool)
    before = group_unknown(rows, everything)
    assert np.array_equal(group_unknown((rows * lengths)[shuffle], everything), before[shuffle])


def test_of_equally_large_groups_that_with_the_earliest_instance_comes_first() -> None:
    rows = np.eye(4, dtype=np.float32)[[2, 0, 1, 0, 1, 2]]
    assert group_unknown(rows, np.ones(6, dtype=bool)).tolist() == [1, 2, 3, 2, 3, 1]


def test_copies_of_one_embedding_are_one_group_even_where_nothing_else_is() -> None:
    rows = np.tile(np.random.default_rng(0).normal(size=(1, 64)), (30, 1)).astype(np.float32)
    everything = np.ones(30, dtype=bool)
    assert (group_unknown(rows, everything) == 1).all()
    # Cut in halves, since nothing tells them apart.
    assert group_unknown(rows, everything, cell=20).max() == 2


def test_cells_smaller_than_the_whole_find_the_same_kinds() -> None:
    rows, kind = kinds(copies=20)
    found = group_unknown(rows, np.ones(len(rows), dtype=bool), cell=200)
    for group in range(1, found.max() + 1):
        assert len(set(kind[found == group])) == 1
    assert (found > 0).all()
    assert found.max() <= 2 * len(KINDS)


def test_the_same_unknown_instances_get_the_same_numbers_again() -> None:
    rows, _ = kinds(copies=20)
    everything = np.ones(len(rows), dtype=bool)
    first, again = (group_unknown(rows, everything, cell=100) for _ in range(2))
    assert np.array_equal(first, again)


@pytest.mark.parametrize("count", [0, 1])
def test_none_or_one_makes_no_group(count: int) -> None:
    rows = np.ones((count, 8), np.float32)
    assert not group_unknown(rows, np.ones(count, dtype=bool)).any()


def test_twenty_thousand_unknown_instances_are_grouped_in_reasonable_time() -> None:
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 400, 20_000)
    rows = rng.normal(size=(400, 384))[kind] + 0.3 * rng.normal(size=(20_000, 384))
    start = time.process_time()
    found = group_unknown(rows.astype(np.float32), np.ones(len(rows), dtype=bool))
    # 3 s measured; the room is for busy machines.
    assert time.process_time() - start < 60
    # Cutting into cells parts a few from their kind.
    assert (found > 0).mean() > 0.99
    assert 400 <= found.max() < 800
    assert all(len(set(kind[found == group])) == 1 for group in range(1, found.max() + 1))


def test_what_does_not_fit_together_is_refused() -> None:
    rows, _ = kinds()
    everything = np.ones(len(rows), dtype=bool)
    with pytest.raises(ValueError, match="20 embeddings"):
        group_unknown(rows, everything[:-1])
    with pytest.raises(ValueError, match="need above 0, and 2 or more"):
        group_unknown(rows, everything, near=0)
    with pytest.raises(ValueError, match="need above 0, and 2 or more"):
        group_unknown(rows, everything, cell=1)
