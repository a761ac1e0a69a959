from __future__ import annotations

import math

import pytest

from ovsam_plugin.prediction.prompts import Box


@pytest.mark.parametrize(
    ("xyxy", "reason"),
    [
        ((5, 5, 5, 9), "empty or inverted"),
        ((9, 5, 5, 9), "empty or inverted"),
        ((0, 0, math.nan, 9), "not finite"),
        ((0, 0, math.inf, 9), "not finite"),
        ((0, 0, 9), "got 3 numbers"),
    ],
)
def test_a_bad_box_is_refused_with_its_reason(xyxy: tuple[float, ...], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Box(xyxy)  # type: ignore[arg-type]


def test_a_box_is_cut_to_the_image_and_keeps_its_id() -> None:
    assert Box((-5, 3, 30, 90), id="a").on_image(20, 40) == Box((0, 3, 20, 40), id="a")


def test_a_box_outside_the_image_is_refused() -> None:
    with pytest.raises(ValueError, match="outside the 20 x 40 image"):
        Box((25, 3, 30, 9)).on_image(20, 40)
