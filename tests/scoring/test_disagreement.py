from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ovsam_plugin.scoring.disagreement import disagreement

SHARES = st.floats(0, 1, allow_subnormal=False)
TABLES = st.integers(1, 9).flatmap(lambda n: arrays(np.float64, (2, n), elements=SHARES))


def test_branches_that_agree_do_not_differ_and_a_tenth_differs_by_nine_tenths() -> None:
    head, clip = [0.4, 0.8, 0.0, 0.0, None], [0.4, 0.08, 0.3, 0.0, 0.5]
    found = disagreement(head, clip)
    assert np.allclose(found, [0, 0.9, 1, 0, np.nan], equal_nan=True)


@given(table=TABLES)
@settings(deadline=None)  # busy machines
def test_disagreement_is_symmetric(table: np.ndarray) -> None:
    assert np.array_equal(disagreement(table[0], table[1]), disagreement(table[1], table[0]))


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="head_score 1, clip_score 2"):
        disagreement([0.1], [0.1, 0.2])
