from __future__ import annotations

import pytest

from ovsam_plugin.prediction.prompts import Grid


def test_the_grid_is_square_on_any_image_and_inside_it() -> None:
    points = Grid(8).points(width=400, height=200)
    assert len(points) == 8 * 4
    xs, ys = zip(*(p.xy[0] for p in points))
    assert (min(xs), max(xs), min(ys), max(ys)) == (25, 375, 25, 175)


def test_the_grid_of_a_sliver_still_has_points() -> None:
    assert len(Grid(16).points(width=1000, height=1)) == 16


def test_a_grid_needs_a_point() -> None:
    with pytest.raises(ValueError, match="from 1 on, got 0"):
        Grid(0)
