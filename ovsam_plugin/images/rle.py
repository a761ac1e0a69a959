"""Masks as COCO writes them: run lengths down the columns, and polygons."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

_FARTHEST = 1e6  # pixels; pycocotools walks every pixel of an edge, inside the image or not
_MOST_PIXELS = 2**32 - 1  # of an image: pycocotools counts them with 32 bits


def encode_crop(
    mask: npt.NDArray[np.bool_], corner: tuple[int, int], image_size: tuple[int, int]
) -> dict[str, Any]:
    """A mask cut to a box, as compressed run lengths of the whole image.

    The whole image is never painted, so the cost follows the box and not the photograph.

    Args:
        mask: (h, w) bool, the part of the mask inside its box.
        corner: (x1, y1), the box's top-left pixel; the box must lie on the image.
        image_size: (height, width) of the image in pixels.

    Returns:
        `{"size": [height, width], "counts": str}`, which pycocotools decodes to the same mask.

    Raises:
        ValueError: the box reaches outside the image.
    """
    height, width = image_size
    x1, y1 = corner
    if x1 < 0 or y1 < 0 or y1 + mask.shape[0] > height or x1 + mask.shape[1] > width:
        raise ValueError(
            f"a mask of {mask.shape[1]} x {mask.shape[0]} at ({x1}, {y1}) "
            f"does not lie on the {width} x {height} image"
        )
    columns = np.zeros((mask.shape[1], mask.shape[0] + 2), dtype=np.int8)
    columns[:, 1:-1] = np.asarray(mask, dtype=bool).T
    column, row = np.nonzero(np.diff(columns, axis=1))
    # Starts and ends alternate. A run that ends at the bottom of one column and goes on at the top
    # of the next has both at one position, and is one run.
    edges = (column + x1).astype(np.int64) * height + row + y1
    if len(edges):
        touching = np.flatnonzero(edges[1:-1:2] == edges[2::2])
        edges = np.delete(edges, np.concatenate([2 * touching + 1, 2 * touching + 2]))
    counts = np.diff(np.concatenate([[0], edges, [height * width]]))
    if len(edges) and edges[-1] == height * width:
        counts = counts[:-1]
    rle = coco_mask.frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width)
    return {"size": [height, width], "counts": rle["counts"].decode("ascii")}


Crop: TypeAlias = tuple[tuple[int, int], npt.NDArray[np.bool_]]
"""(x, y) of the top-left pixel of a mask's own box, and the (h, w) bool crop."""


def decode_segmentation(
    segmentation: object, image_size: tuple[int, int] | None
) -> npt.NDArray[np.bool_]:
    """The mask of an annotation's `segmentation`.

    Args:
        segmentation: polygons (a list of flat `x, y, x, y, ...` lists in pixels), or a mapping
            with `size` and `counts`, the counts being a list or a compressed string.
        image_size: (height, width) of the image; polygons cannot do without.

    Returns:
        (H, W) bool, the whole image.

    Raises:
        ValueError: it is none of these, has another size than the image, or does not add up.
    """
    size, counts = _runs(segmentation, image_size)
    (x, y), crop = _paint(counts, size[0])
    mask = np.zeros(size, dtype=bool)
    mask[y : y + crop.shape[0], x : x + crop.shape[1]] = crop
    return mask


def decode_crop(segmentation: object, image_size: tuple[int, int] | None) -> Crop:
    """`decode_segmentation`, cut to the mask's own box; the whole image is never painted.

    Returns:
        The box's top-left pixel (x, y) and the (h, w) bool crop; (0, 0) if no pixel is on.

    Raises:
        ValueError: as for `decode_segmentation`.
    """
    size, counts = _runs(segmentation, image_size)
    return _paint(counts, size[0])


def _runs(
    segmentation: object, image_size: tuple[int, int] | None
) -> tuple[tuple[int, int], list[int]]:
    """(height, width) and the run lengths of any segmentation."""
    if isinstance(segmentation, Mapping):
        return _checked_runs(segmentation, image_size)
    if isinstance(segmentation, list | tuple) and segmentation:
        return _polygon_runs(segmentation, image_size)
    raise ValueError("the segmentation is missing or empty")


def _paint(counts: list[int], height: int) -> Crop:
    """The runs of an image of this height, painted on their own box."""
    edges = np.cumsum(counts, dtype=np.int64)
    stops = edges[1::2]
    starts = edges[::2][: len(stops)]
    starts, stops = starts[stops > starts], stops[stops > starts]
    if not len(starts):
        return (0, 0), np.zeros((0, 0), dtype=bool)
    first, last = starts // height, (stops - 1) // height
    # A run that goes on in further columns is one piece in each.
    more = last - first
    owner = np.repeat(np.arange(len(starts)), more + 1)
    column = np.arange(len(owner)) - np.repeat(np.cumsum(more + 1) - more - 1 - first, more + 1)
    top = np.where(column == first[owner], starts[owner] % height, 0)
    bottom = np.where(column == last[owner], (stops[owner] - 1) % height + 1, height)
    x, y = int(column[0]), int(top.min())
    steps = np.zeros((int(column[-1]) + 1 - x, int(bottom.max()) + 1 - y), dtype=np.int8)
    np.add.at(steps, (column - x, top - y), 1)
    np.add.at(steps, (column - x, bottom - y), -1)
    painted = np.cumsum(steps[:, :-1], axis=1, dtype=np.int8)
    return (x, y), np.ascontiguousarray(painted.T).astype(bool)


def _checked_runs(
    segmentation: Mapping[str, Any], image_size: tuple[int, int] | None
) -> tuple[tuple[int, int], list[int]]:
    try:
        height, width = (int(v) for v in segmentation["size"])
        raw = segmentation["counts"]
        counts = _unpack(raw) if isinstance(raw, str | bytes) else [int(v) for v in raw]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"the run lengths cannot be read: {error!r}") from error
    if image_size is not None and (height, width) != tuple(image_size):
        raise ValueError(
            f"the run lengths are {width} x {height}, "
            f"the image is {image_size[1]} x {image_size[0]}"
        )
    _check_size(height, width)
    if min(counts, default=0) < 0 or sum(counts) != height * width:
        raise ValueError(f"the run lengths do not add up to {width} x {height} pixels")
    return (height, width), counts


def _unpack(packed: str | bytes) -> list[int]:
    """Counts from COCO's string: five bits a character, from the third on as differences."""
    counts: list[int] = []
    value = shift = 0
    for character in packed.encode("ascii") if isinstance(packed, str) else packed:
        bits = character - 48
        if not 0 <= bits < 64:
            raise ValueError(f"character {chr(character)!r} has no meaning in run lengths")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError("the string ends inside a number")
    return counts


def _polygon_runs(
    polygons: Sequence[object], image_size: tuple[int, int] | None
) -> tuple[tuple[int, int], list[int]]:
    if image_size is None:
        raise ValueError("a polygon needs the image's width and height, which the file lacks")
    height, width = image_size
    _check_size(height, width)
    whole = [_polygon(polygon) for polygon in polygons]
    usable = [polygon for polygon in whole if len(polygon) >= 6]
    if not usable:
        raise ValueError("no polygon has three points or more")
    rle = coco_mask.merge(coco_mask.frPyObjects(usable, height, width))
    return (height, width), _unpack(rle["counts"])


def _check_size(height: int, width: int) -> None:
    if height < 0 or width < 0 or height * width > _MOST_PIXELS:
        raise ValueError(f"no image is {width} x {height} pixels")


def _polygon(polygon: object) -> list[float]:
    if not isinstance(polygon, Iterable) or isinstance(polygon, str | bytes | Mapping):
        raise ValueError("a polygon is a list of numbers x, y, x, y, ...")
    values = list(itertools.islice(polygon, 10_000_000))
    if not all(isinstance(v, int | float) and math.isfinite(v) for v in values):
        raise ValueError("a polygon has a coordinate that is not a finite number")
    if len(values) % 2:
        raise ValueError("a polygon has an odd number of coordinates")
    if any(abs(v) > _FARTHEST for v in values):
        raise ValueError(f"a polygon reaches farther than {_FARTHEST:.0f} pixels")
    return [float(v) for v in values]
