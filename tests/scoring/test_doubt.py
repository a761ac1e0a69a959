from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ovsam_plugin.scoring.doubt import doubt

SIGNS = ("confidence", "margin", "outlier", "objectness")
SHARES = st.floats(0, 1, allow_subnormal=False)
TABLES = st.integers(1, 9).flatmap(lambda n: arrays(np.float64, (len(SIGNS), n), elements=SHARES))


def test_doubt_is_the_mean_of_what_lacks_and_of_how_far_out() -> None:
    assert np.allclose(doubt([0.9, 0.2], [0.8, 0.1], [0.3, 0.6]), [0.2, 2.3 / 3])
    assert np.allclose(doubt([0.9, 0.2], [0.8, 0.1]), [0.15, 0.85])
    # A name is right of a thing alone.
    assert np.allclose(doubt([0.9, 0.2], [0.8, 0.1], objectness=[0.5, 0.5]), [0.575, 0.925])
    assert np.allclose(doubt([0.9], [0.8], objectness=[None]), [0.15])


@given(table=TABLES, which=st.sampled_from(SIGNS))
@settings(deadline=None)  # busy machines
def test_doubt_never_falls_when_a_sign_gets_worse(table: np.ndarray, which: str) -> None:
    before = dict(zip(SIGNS, table))
    worse = dict(before)
    worse[which] = before[which] * 0.5 + (0.5 if which == "outlier" else 0.0)
    assert (doubt(**worse) >= doubt(**before) - 1e-12).all()


def test_an_unknown_outlier_counts_as_the_median_and_as_nothing_where_none_is_known() -> None:
    sure, clear = [0.5, 0.5, 0.5, 0.5], [0.5, 0.5, 0.5, 0.5]
    found = doubt(sure, clear, [0.1, 0.2, 0.9, None])
    assert found[3] == found[1]
    assert np.array_equal(doubt(sure, clear, [None] * 4), doubt(sure, clear))


def test_without_a_confidence_there_is_no_doubt_to_give() -> None:
    assert np.isnan(doubt([None, 0.5], [0.1, 0.1])).tolist() == [True, False]


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="confidence 2, margin 1"):
        doubt([0.1, 0.2], [0.1])
    with pytest.raises(ValueError, match="confidence 1, outlier 2"):
        doubt([0.1], [0.1], [0.1, 0.2])
