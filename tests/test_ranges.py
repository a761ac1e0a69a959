"""Numbers that a caller gives."""

from __future__ import annotations

import numpy as np
import pytest

from ovsam_plugin.ranges import check_count, check_part


@pytest.mark.parametrize("value", [None, 0, 1, 0.5, np.float32(0.25)])
def test_parts_are_from_0_to_1(value: object) -> None:
    check_part("share", value)


@pytest.mark.parametrize("value", ["0.5", -0.1, 1.1, float("nan"), True, [0.5]])
def test_what_is_no_part_is_refused_by_its_name(value: object) -> None:
    with pytest.raises(ValueError, match="share is a number from 0 to 1, got "):
        check_part("share", value)


@pytest.mark.parametrize("value", [None, 1, 8, np.int64(3)])
def test_counts_are_whole_and_begin_at_1(value: object) -> None:
    check_count("batch_size", value)


@pytest.mark.parametrize("value", ["8", 0, -2, 1.5, True])
def test_what_is_no_count_is_refused_by_its_name(value: object) -> None:
    with pytest.raises(ValueError, match="batch_size is a whole number from 1 on, got "):
        check_count("batch_size", value)
