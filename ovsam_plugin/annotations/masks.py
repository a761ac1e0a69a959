"""Boxes and masks of annotations as tools write them, brought to COCO's own two forms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ovsam_plugin.annotations.values import number, whole
from ovsam_plugin.images.rle import decode_segmentation

Size: TypeAlias = tuple[int, int]
Corners: TypeAlias = tuple[float, float, float, float]
Mask: TypeAlias = npt.NDArray[np.bool_]


def box_corners(bbox: object) -> Corners:
    """COCO's [x, y, width, height] as (x1, y1, x2, y2).

    Raises:
        ValueError: it is not four finite numbers.
    """
    if not isinstance(bbox, list | tuple) or len(bbox) != 4:
        raise ValueError(f"bbox {bbox!r:.60} is not [x, y, width, height]")
    values = [number(value) for value in bbox]
    if None in values:
        raise ValueError(f"bbox {bbox!r:.60} has a value that is not a finite number")
    x, y, width, height = (float(value) for value in values if value is not None)
    return x, y, x + width, y + height


def mask_of(segmentation: object, size: Size | None) -> Mask:
    """The mask of a segmentation.

    Args:
        segmentation: any that `plain_segmentation` takes, or a list of run lengths.
        size: (height, width) of the photograph; polygons cannot do without.

    Returns:
        (H, W) bool.

    Raises:
        ValueError: it is none of these, has another size than the photograph, or does not add up.
    """
    if isinstance(segmentation, list) and any(isinstance(part, Mapping) for part in segmentation):
        parts = [decode_segmentation(plain_segmentation(p, size), size) for p in segmentation]
        if len({part.shape for part in parts}) > 1:
            raise ValueError("the run lengths of one annotation have different sizes")
        return np.asarray(np.logical_or.reduce(parts), dtype=bool)
    return decode_segmentation(plain_segmentation(segmentation, size), size)


def plain_segmentation(
    segmentation: object, size: Size | None = None
) -> list[list[float]] | dict[str, Any]:
    """A segmentation as pycocotools takes it: flat polygons, or run lengths with their size.

    Args:
        segmentation: polygons, each as x, y, x, y, ... or as pairs; one polygon alone; or run
            lengths, compressed or not. Numbers may be text.
        size: (height, width) of the photograph, for run lengths that do not say theirs.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(segmentation, Mapping):
        return _run_lengths(segmentation, size)
    if not isinstance(segmentation, list | tuple) or not segmentation:
        raise ValueError("the segmentation is missing or empty")
    return [_flat(polygon) for polygon in _polygons(segmentation)]


def _run_lengths(segmentation: Mapping[str, Any], size: Size | None) -> dict[str, Any]:
    counts: Any = segmentation.get("counts")
    if isinstance(counts, list | tuple):
        counts = [whole(count) for count in counts]
        if None in counts:
            raise ValueError("the run lengths hold something that is not a whole number")
    elif not isinstance(counts, str | bytes):
        raise ValueError('the run lengths have no "counts"')
    written = segmentation.get("size")
    if written is None and size is not None:
        return {"size": list(size), "counts": counts}
    sides = [whole(side) for side in written] if isinstance(written, list | tuple) else []
    if len(sides) != 2 or any(side is None or side < 0 for side in sides):
        raise ValueError(f"the run lengths have the size {written!r:.40}, not [height, width]")
    return {"size": sides, "counts": counts}


def _polygons(segmentation: Sequence[Any]) -> Sequence[Any]:
    """The polygons of a list, which may be one polygon's numbers or its pairs."""
    if all(number(value) is not None for value in segmentation):
        return [segmentation]
    if all(_is_pair(value) for value in segmentation):
        return [segmentation]
    return segmentation


def _is_pair(value: object) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == 2
        and all(number(side) is not None for side in value)
    )


def _flat(polygon: object) -> list[float]:
    if not isinstance(polygon, list | tuple):
        raise ValueError("a polygon is a list of numbers x, y, x, y, ...")
    if polygon and all(_is_pair(point) for point in polygon):
        polygon = [side for point in polygon for side in point]
    if len(polygon) % 2:
        raise ValueError("a polygon has an odd number of coordinates")
    if all(type(value) is float or type(value) is int for value in polygon):
        values = [float(value) for value in polygon if abs(value) < math.inf]
    else:
        values = [found for value in polygon if (found := number(value)) is not None]
    if len(values) < len(polygon):
        raise ValueError("a polygon has a coordinate that is not a finite number")
    return values


def deepest_point(mask: Mask) -> tuple[float, float]:
    """The centre of the pixel that lies deepest inside a mask.

    Deepest by the exact Euclidean distance to the nearest pixel that is not of the mask, where all
    that lies beyond the image's border counts as not of the mask. Of several equally deep pixels
    the topmost is taken, and of those the leftmost.

    Args:
        mask: (H, W) bool.

    Returns:
        (x + 0.5, y + 0.5) in pixels: the pixel in column x and row y covers x to x + 1 and y to
        y + 1, so this is its middle.

    Raises:
        ValueError: the mask has no pixel.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        raise ValueError("the mask has no pixel")
    top, left = int(rows[0]), int(columns[0])
    crop = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    # One ring of outside around the mask's own box decides the same distances as the whole image.
    depth = ndimage.distance_transform_edt(np.pad(crop, 1))[1:-1, 1:-1]
    # Squared distances are whole numbers, so rounding makes ties exact.
    row, column = divmod(int(np.argmax(np.rint(depth**2))), crop.shape[1])
    return left + column + 0.5, top + row + 0.5


def box_of(mask: Mask) -> Corners:
    """(x1, y1, x2, y2) around a mask, x2 and y2 exclusive.

    Raises:
        ValueError: the mask has no pixel.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        raise ValueError("the mask has no pixel")
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)
