"""Vectors as the text of a JSON list of lists in which every number has the same width.

Any reader of JSON reads it; numpy reads and writes it a hundred times faster than number by number,
since the place of each digit is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

import numpy as np
import numpy.typing as npt

_DIGITS = 7
# A sign or a space, a digit, the point, the other digits, and the comma.
_WIDTH = 4 + _DIGITS
_SCALE = 10**_DIGITS
_NUMBERS_AT_ONCE = 1 << 20


def encode(vectors: npt.NDArray[np.float32]) -> Iterator[bytes]:
    """The text, some rows at a time.

    Args:
        vectors: (N, D), every number inside (-10, 10); kept to 7 digits behind the point, which is
            what float32 holds of a number near 1.

    Raises:
        ValueError: a number is not finite, or lies outside.
    """
    if not (np.abs(vectors) < 10 - 1 / _SCALE).all():
        raise ValueError("the numbers of a vector to keep must be finite, and less than 10")
    yield b"["
    for first, rows in _parts(vectors):
        text = np.empty((*rows.shape, _WIDTH), np.uint8)
        left = np.rint(np.abs(rows.astype(np.float64)) * _SCALE).astype(np.int32)
        text[..., 0] = np.where(rows < 0, ord("-"), ord(" "))
        text[..., 2] = ord(".")
        for place in (*range(_WIDTH - 2, 2, -1), 1):
            left, digit = np.divmod(left, 10)
            text[..., place] = digit + ord("0")
        text[..., -1] = ord(",")
        text[:, -1, -1] = ord("]")
        lines = b",".join(b"[" + row.tobytes() for row in text)
        yield lines if first == 0 else b"," + lines
    yield b"]"


def decode(text: IO[bytes], shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """What `encode` wrote.

    Args:
        text: open where its text begins.
        shape: (N, D) of the vectors.
    """
    vectors = np.empty(shape, np.float32)
    row_bytes = 2 + shape[1] * _WIDTH  # a comma or the list's own bracket, and the row's
    for first, rows in _parts(vectors):
        raw = np.frombuffer(text.read(len(rows) * row_bytes), np.uint8)
        digits = raw.reshape(len(rows), row_bytes)[:, 2:].reshape(*rows.shape, _WIDTH)
        number = np.zeros(rows.shape, np.int32)
        for place in (1, *range(3, _WIDTH - 1)):
            number = number * 10 + (digits[..., place] - ord("0"))
        signs = np.where(digits[..., 0] == ord("-"), -1.0, 1.0)
        vectors[first : first + len(rows)] = signs * number / _SCALE
    return vectors


def _parts(vectors: npt.NDArray[np.float32]) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    step = max(1, _NUMBERS_AT_ONCE // max(1, vectors.shape[1]))
    for first in range(0, len(vectors), step):
        yield first, vectors[first : first + step]
