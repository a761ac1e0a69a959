"""What labels are ranked by."""

from __future__ import annotations

import fiftyone as fo
import pytest

from ovsam_plugin.dataset.rank import number, rank


@pytest.mark.parametrize(
    ("values", "found", "wanted"),
    [
        ({"confidence": 0.5, "objectness": 0.5}, True, 0.25),
        ({"confidence": 0.5, "objectness": 0.5}, False, 0.5),
        ({"confidence": 0.5}, True, 0.5),
        ({"confidence": 0.5, "objectness": float("nan")}, True, 0.0),
        ({"objectness": 0.5}, False, 0.0),
        ({"confidence": float("inf")}, False, 0.0),
    ],
)
def test_a_name_and_a_thing_nobody_pointed_at(
    values: dict[str, float], found: bool, wanted: float
) -> None:
    assert rank(fo.Detection(label="cat", **values), found=found) == wanted


def test_what_is_no_number_is_zero() -> None:
    assert [number(v) for v in (None, float("nan"), -float("inf"), 2)] == [0, 0, 0, 2]
