from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovsam_plugin.scoring.learning import Lessons, learned_doubt

X, Y = [1.0, 0.0], [0.0, 1.0]


def lessons(*decided: tuple[float, str, list[float], bool]) -> Lessons:
    doubt, names, embeddings, wrong = zip(*decided)
    return Lessons(doubt, names, np.array(embeddings), np.array(wrong))


def test_a_wrong_name_raises_the_doubt_about_what_looks_the_same_and_has_it() -> None:
    taught = lessons((0.4, "cat", X, True))
    found = learned_doubt([0.5, 0.5, 0.5], ["cat", "dog", "cat"], np.array([X, X, Y]), taught)
    # One residual of 0.6, with a weight of 1 beside the prior of a half.
    assert np.allclose(found, [0.5 + 0.6 / 1.5, 0.5, 0.5])


def test_a_right_name_lowers_it_and_likeness_counts_by_its_fourth_power() -> None:
    taught = lessons((0.9, "cat", X, False))
    found = learned_doubt([0.5], ["cat"], np.array([[3.0, 4.0]]), taught)
    weight = 0.6**4
    assert np.allclose(found, [0.5 - 0.9 * weight / (weight + 0.5)])


def test_decisions_that_contradict_each_other_leave_the_doubt_where_it_was() -> None:
    taught = lessons((0.5, "cat", X, True), (0.5, "cat", X, False))
    assert np.allclose(learned_doubt([0.3], ["cat"], np.array([X]), taught), [0.3])


def test_nothing_decided_and_nothing_known_change_nothing() -> None:
    nothing = Lessons([], [], np.empty((0, 2)), np.empty(0, bool))
    assert learned_doubt([0.3], ["cat"], np.array([X]), nothing).tolist() == [0.3]
    unknown = lessons((np.nan, "cat", X, True))
    found = learned_doubt([0.3, np.nan], ["cat", "cat"], np.array([X, X]), unknown)
    assert np.allclose(found, [0.3, np.nan], equal_nan=True)
    assert len(learned_doubt([], [], np.empty((0, 2)), unknown)) == 0


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 9), d=st.integers(1, 9))
@settings(deadline=None)  # busy machines
def test_doubt_stays_a_share_and_the_order_of_decisions_does_not_count(
    seed: int, n: int, d: int
) -> None:
    rng = np.random.default_rng(seed)
    doubt, embeddings = rng.random(n), rng.standard_normal((n, 3))
    names = rng.choice(["cat", "dog"], n).tolist()
    decided = [
        (rng.random(), str(rng.choice(["cat", "dog"])), list(rng.standard_normal(3)), bool(w))
        for w in rng.integers(0, 2, d)
    ]
    found = learned_doubt(doubt, names, embeddings, lessons(*decided))
    assert ((found >= 0) & (found <= 1)).all()
    again = learned_doubt(doubt, names, embeddings, lessons(*decided[::-1]))
    assert np.allclose(found, again)


def test_columns_of_different_lengths_are_refused() -> None:
    taught = lessons((0.4, "cat", X, True))
    with pytest.raises(ValueError, match="one number per instance in every column"):
        learned_doubt([0.5, 0.5], ["cat"], np.array([X]), taught)
    with pytest.raises(ValueError, match="every decision"):
        Lessons([0.4], [], np.array([X]), np.array([True]))
