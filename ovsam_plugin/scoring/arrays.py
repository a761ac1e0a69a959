"""Stored attributes as arrays: one number an instance, NaN where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Numbers: TypeAlias = npt.NDArray[np.floating] | Sequence[float | None]


def column(values: Numbers) -> Floats:
    """(N,) float64 from what a database gives; None becomes NaN.

    Raises:
        ValueError: the values are not one number an instance.
    """
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1:
        raise ValueError(f"a column has one number per instance, got an array of {found.shape}")
    return found


def same_length(**columns: Floats) -> None:
    """That columns belong to the same instances.

    Raises:
        ValueError: their lengths differ; the message tells each.
    """
    if len({len(values) for values in columns.values()}) > 1:
        lengths = ", ".join(f"{name} {len(values)}" for name, values in columns.items())
        raise ValueError(f"need one number per instance in every column, got {lengths}")


def unit_rows(embeddings: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """(N, D) float32, each row of unit length; a zero row stays zero.

    Raises:
        ValueError: the embeddings are not one row an instance.
    """
    if embeddings.ndim != 2:
        raise ValueError(f"embeddings are (N, D), one row per instance, got {embeddings.shape}")
    rows = embeddings.astype(np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    units: npt.NDArray[np.float32] = rows / np.where(lengths > 0, lengths, np.float32(1))
    return units
