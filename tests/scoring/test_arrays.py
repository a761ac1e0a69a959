from __future__ import annotations

import numpy as np
import pytest

from ovsam_plugin.scoring.arrays import column, same_length, unit_rows


def test_none_becomes_nan() -> None:
    assert np.array_equal(column([0.5, None, 1.0]), [0.5, np.nan, 1.0], equal_nan=True)


def test_a_column_of_lists_is_refused() -> None:
    with pytest.raises(ValueError, match="one number per instance"):
        column(np.zeros((3, 2)))


def test_columns_of_different_lengths_are_named_with_their_lengths() -> None:
    with pytest.raises(ValueError, match="confidence 3, margin 2"):
        same_length(confidence=np.zeros(3), margin=np.zeros(2))


def test_rows_become_unit_and_a_zero_row_stays() -> None:
    rows = unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]]))
    assert np.allclose(rows, [[0.6, 0.8], [0.0, 0.0]])
    assert rows.dtype == np.float32


def test_embeddings_that_are_not_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="one row per instance"):
        unit_rows(np.zeros(4))
