"""Overlapping parts of large photographs, in which small things are large enough to be seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

# Tiles along the longer side; "auto" follows the photograph's size, 0 is none.
Tiles: TypeAlias = int | Literal["auto"]
# Of a tile's side, what it shares with the next.
OVERLAP = 0.25
# A photograph whose longer side is this many times the network's is looked at in tiles, each of
# about half as many; past the most, tiles grow.
AUTO_FROM, AUTO_EACH, AUTO_MOST = 2.2, 1.5, 3
# A box with both sides shorter than this on the whole picture, in input pixels, is asked in a tile.
SMALL = 40
# Of a box's side: what a tile must show around it.
MARGIN = 0.5


def check_tiles(tiles: object) -> Tiles:
    """What a user gave, as "auto" or a number.

    Raises:
        ValueError: it is neither, or out of range.
    """
    if tiles == "auto":
        return "auto"
    if tiles in ("off", 0, "0", None):
        return 0
    try:
        count = int(str(tiles))
    except ValueError:
        count = -1
    if not 2 <= count <= 16:
        raise ValueError(f"tiles is 'auto', 'off' or a number from 2 to 16, got {tiles!r}")
    return count


def tiles_along(tiles: Tiles, size: tuple[int, int], input_size: int) -> int:
    """Tiles along the longer side of an (H, W) photograph; 0 where it is looked at whole alone."""
    if tiles != "auto":
        return tiles
    ratio = max(size) / input_size
    return 0 if ratio < AUTO_FROM else min(max(2, round(ratio / AUTO_EACH)), AUTO_MOST)


def pixels_needed(tiles: Tiles) -> float:
    """Pixels along the longer side, as a share of the network's, that the tiles can show."""
    along = AUTO_MOST if tiles == "auto" else tiles
    return along - (along - 1) * OVERLAP if along > 1 else 1.0


def place_tiles(size: tuple[int, int], along: int) -> list[tuple[int, int, int, int]]:
    """Parts of an (H, W) photograph, xyxy in pixels, about square, that cover it and overlap.

    Args:
        size: (H, W).
        along: tiles along the longer side.
    """
    if along < 2:
        return []
    longer = max(size)
    side = longer / (along - (along - 1) * OVERLAP)
    spans = []
    for length in (size[1], size[0]):
        count = max(1, int(np.ceil((length / side - OVERLAP) / (1 - OVERLAP) - 1e-6)))
        width = min(side, length)
        starts = np.linspace(0, length - width, count)
        spans.append([(round(s), round(s + width)) for s in starts])
    return [(x1, y1, x2, y2) for y1, y2 in spans[1] for x1, x2 in spans[0]]


def tiles_of_small(
    boxes: npt.NDArray[np.float64], size: tuple[int, int], input_size: int
) -> list[tuple[int, int, int, int]]:
    """The tiles that small boxes are asked in.

    Args:
        boxes: (N, 4) xyxy in pixels of the photograph.
        size: (H, W) of it.
        input_size: the longer side that the network sees.

    Returns:
        Those of the photograph's tiles, at least 2 along the longer side, that hold a small box.
    """
    small = boxes[is_small(boxes, size, input_size)]
    tiles = place_tiles(size, max(2, tiles_along("auto", size, input_size)))
    return [tile for tile in tiles if len(small) and holds(tile, small, size).any()]


def is_small(
    boxes: npt.NDArray[np.float64], size: tuple[int, int], input_size: int
) -> npt.NDArray[np.bool_]:
    """(N,) whether each of (N, 4) boxes is asked in a tile where there is one."""
    sides = (boxes[:, 2:] - boxes[:, :2]) * input_size / max(size)
    return np.asarray(sides.max(1, initial=0) < SMALL)


def holds(
    tile: Sequence[float], boxes: npt.NDArray[np.float64], size: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """(N,) whether a tile shows each box with what is around it, as far as the photograph goes."""
    reach = (boxes[:, 2:] - boxes[:, :2]) * MARGIN
    low = np.maximum(boxes[:, :2] - reach, 0)
    high = np.minimum(boxes[:, 2:] + reach, [size[1], size[0]])
    x1, y1, x2, y2 = tile
    inside = (low >= [x1, y1]).all(1) & (high <= [x2, y2]).all(1)
    return np.asarray(inside)
