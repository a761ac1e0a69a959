"""Where a label lies, as one number: two labels with the same number lie on the same pixels."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
import numpy.typing as npt

PARTS = ("bounding_box", "points", "point_labels", "sam_labels", "mask", "mask_path")
"""What of a stored label says where it lies."""

_COORDINATES = PARTS[:4]
_DECIMALS = 9
_BITS = 52


def shape_of(label: Mapping[str, Any]) -> int:
    """A hash of a label's box, points and mask, 0 to 2^52 - 1.

    It is one of what they show, not of how that is stored: a mask that was compressed anew, made of
    other numbers or moved to a file is the same.

    Args:
        label: a Detection, Keypoint or Polyline, as the database has it, or its `PARTS` with the
            mask as an array.
    """
    digest = blake2b(digest_size=8)
    for name in _COORDINATES:
        if label.get(name):
            digest.update(f"{name}{_rounded(label[name])}".encode())
    try:
        mask = _mask(label)
    except Exception:  # damaged: it shows nothing, and is the same as long as it is stored so
        mask = None
        digest.update(repr(label["mask"]).encode())
    if mask is not None:
        there = mask if mask.dtype == bool else mask > 0
        digest.update(str(there.shape).encode())
        digest.update(np.packbits(there).tobytes())
    elif label.get("mask_path"):
        digest.update(str(label["mask_path"]).encode())
    return int.from_bytes(digest.digest(), "big") >> (64 - _BITS)


def _unpacked(stored: bytes) -> npt.NDArray[Any]:
    """An array as FiftyOne stores it: NumPy's file, compressed.

    Its header is one of few in a dataset, and takes NumPy longer to read than all the pixels.
    """
    content = zlib.decompress(stored)
    version, length = content[6:8], int.from_bytes(content[8:10], "little")
    if content[:6] != b"\x93NUMPY" or version != b"\x01\x00":
        return np.load(BytesIO(content))  # type: ignore[no-any-return]
    shape, dtype, fortran = _header(content[: 10 + length])
    pixels = np.frombuffer(content, dtype, offset=10 + length)
    return pixels.reshape(shape, order="F" if fortran else "C")


@lru_cache(maxsize=4096)
def _header(content: bytes) -> tuple[tuple[int, ...], np.dtype[Any], bool]:
    file = BytesIO(content)
    np.lib.format.read_magic(file)
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    return shape, dtype, fortran


def _rounded(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_rounded(v) for v in value]
    try:
        return round(float(value), _DECIMALS) + 0.0
    except (TypeError, ValueError):  # it shows no place, and is the same as long as it is so stored
        return repr(value)


def _mask(label: Mapping[str, Any]) -> npt.NDArray[Any] | None:
    mask = label.get("mask")
    if isinstance(mask, bytes):
        return _unpacked(mask)
    if mask is not None:
        return np.asarray(mask)
    path = label.get("mask_path")
    if not path or not Path(path).is_file():
        return None
    try:
        read: npt.NDArray[Any] | None = fo.Detection(mask_path=path).get_mask()
    except OSError:  # damaged: it shows no more than one that is gone
        return None
    return read
