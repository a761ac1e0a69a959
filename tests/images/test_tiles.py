"""Parts of large photographs."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovsam_plugin.images.tiles import (
    AUTO_MOST,
    MARGIN,
    SMALL,
    check_tiles,
    holds,
    is_small,
    pixels_needed,
    place_tiles,
    tiles_along,
    tiles_of_small,
)


@pytest.mark.parametrize(
    ("given_", "read"),
    [("auto", "auto"), ("off", 0), (0, 0), ("0", 0), (None, 0), (2, 2), ("16", 16)],
)
def test_a_number_of_tiles_is_read_however_it_is_given(given_: Any, read: Any) -> None:
    assert check_tiles(given_) == read


@pytest.mark.parametrize("given_", [1, 17, -2, "many", 2.5, [2]])
def test_another_number_is_refused_with_those_allowed(given_: Any) -> None:
    with pytest.raises(ValueError, match="'auto', 'off' or a number from 2 to 16, got"):
        check_tiles(given_)


def test_tiles_follow_the_photograph_s_size_up_to_a_most() -> None:
    sizes = (1024, 2200, 2260, 2400, 9999)
    found = [tiles_along("auto", (600, longer), 1024) for longer in sizes]
    assert found == [0, 0, 2, 2, AUTO_MOST]
    assert tiles_along(5, (10, 10), 1024) == 5
    assert tiles_along(0, (9000, 9000), 1024) == 0


@settings(max_examples=60, deadline=None)
@given(height=st.integers(20, 4000), width=st.integers(20, 4000), along=st.integers(2, 16))
def test_tiles_cover_the_photograph_and_overlap_each_other(
    height: int, width: int, along: int
) -> None:
    tiles = place_tiles((height, width), along)
    assert len(tiles) >= along
    side = max(height, width) / (along - (along - 1) * 0.25)
    for x1, y1, x2, y2 in tiles:
        assert 0 <= x1 < x2 <= width
        assert 0 <= y1 < y2 <= height
        assert max(x2 - x1, y2 - y1) <= side + 1
    for edges, length in (({(x1, x2) for x1, _, x2, _ in tiles}, width),
                          ({(y1, y2) for _, y1, _, y2 in tiles}, height)):  # fmt: skip
        spans = sorted(edges)
        assert (spans[0][0], spans[-1][1]) == (0, length)
        for (_, end), (start, _) in pairwise(spans):
            assert end - start >= 0.2 * side - 2


def test_without_tiles_there_are_none_and_no_more_pixels_are_needed() -> None:
    assert place_tiles((300, 400), 0) == place_tiles((300, 400), 1) == []
    assert pixels_needed(0) == 1
    assert pixels_needed(2) == 1.75
    assert pixels_needed("auto") == 2.5


def test_only_small_boxes_are_asked_in_a_tile_and_only_where_one_holds_them() -> None:
    size, side = (2000, 3000), 1024
    pixel = 3000 / side
    small = np.array([[100.0, 100, 100 + (SMALL - 1) * pixel, 100 + 20 * pixel]])
    large = np.array([[100.0, 100, 100 + (SMALL + 1) * pixel, 100 + 20 * pixel]])
    assert is_small(np.concatenate([small, large]), size, side).tolist() == [True, False]
    assert tiles_of_small(small, size, side) == place_tiles(size, 2)[:1]
    assert tiles_of_small(large, size, side) == []
    assert tiles_of_small(np.empty((0, 4)), size, side) == []


def test_a_tile_holds_a_box_with_what_is_around_it_as_far_as_there_is_any() -> None:
    size, tile = (100, 200), (0, 0, 100, 100)
    boxes = np.array([[0, 0, 20, 20], [40, 40, 60, 60], [70, 40, 90, 60], [79, 0, 86, 20.0]])
    reach = 20 * MARGIN
    assert 90 + reach == 100
    assert holds(tile, boxes, size).tolist() == [True, True, True, True]
    assert holds(tile, boxes + np.array([1, 0, 1, 0]), size).tolist() == [True, True, False, True]
