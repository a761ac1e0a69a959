from __future__ import annotations

import math

import pytest

from ovsam_plugin.prediction.prompts import Points


def test_points_without_labels_are_all_positive() -> None:
    assert Points(((1, 2), (3, 4))).labels == (1, 1)


@pytest.mark.parametrize(
    ("xy", "labels", "reason"),
    [
        ((), (), "at least one point"),
        (((1, 2),), (1, 0), "1 points with 2 labels"),
        (((1, 2),), (2,), "labels are 1"),
        (((1, 2),), (0,), "at least one positive"),
        (((1, math.nan),), (1,), "not finite"),
    ],
)
def test_bad_points_are_refused_with_their_reason(
    xy: tuple[tuple[float, float], ...], labels: tuple[int, ...], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        Points(xy, labels)


def test_a_point_off_the_image_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(50, 5\) lies outside"):
        Points(((5, 5), (50, 5)), (1, 0)).on_image(20, 40)
