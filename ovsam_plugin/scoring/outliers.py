"""How far an instance lies from others of its class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ovsam_plugin.scoring.arrays import Floats, unit_rows
from ovsam_plugin.scoring.score import Score

MIN_INSTANCES = 5
"""A class with fewer has no middle to be far from."""


def outlierness(
    embeddings: npt.NDArray[np.floating],
    labels: Sequence[str | None] | npt.NDArray[np.generic],
    min_instances: int = MIN_INSTANCES,
) -> Floats:
    """One less the cosine of an instance and the mean of the *others* of its class.

    Without the others, an instance of a small class would vouch for itself. Linear in instances
    and in classes: no pair of instances is compared.

    Args:
        embeddings: (N, D) float32, any length; a zero row (an empty mask) belongs to no class.
        labels: (N,) class names; None belongs to no class.
        min_instances: classes with fewer give NaN; at least 2.

    Returns:
        (N,) float64 in 0..1, higher = farther; NaN where the class has too few instances or the
        instance none.

    Raises:
        ValueError: embeddings and labels are not equally many, or `min_instances` is below 2.
    """
    if len(embeddings) != len(labels):
        raise ValueError(f"{len(embeddings)} embeddings and {len(labels)} labels: need one each")
    if min_instances < 2:
        raise ValueError(
            f"`min_instances` is {min_instances}: it must be at least 2, itself and another"
        )
    rows = unit_rows(embeddings)
    names = np.asarray(labels, dtype=object)
    result = np.full(len(rows), np.nan)
    named = np.array([name is not None for name in names], dtype=bool)
    known = np.flatnonzero(named & rows.any(axis=1))
    if not len(known):
        return result
    classes = np.unique(names[known].astype(str), return_inverse=True)[1]
    order = np.argsort(classes, kind="stable")
    placed, classes = known[order], classes[order]
    starts = np.flatnonzero(np.diff(classes, prepend=-1))
    ends = np.append(starts[1:], len(classes))
    for start, end in zip(starts, ends):
        if end - start >= min_instances:
            members = placed[start:end]
            result[members] = _from_others(rows[members])
    return result


def _from_others(rows: npt.NDArray[np.float32]) -> Floats:
    """(n,) one less the cosine of each unit row and the sum of the others, cut to 0..1."""
    total = rows.sum(axis=0, dtype=np.float64)
    # With t the sum of all, x.(t - x) = x.t - 1 and |t - x|^2 = |t|^2 - 2 x.t + 1.
    along = rows @ total
    length = np.sqrt(np.maximum(total @ total - 2 * along + 1, 1e-12))
    distances: Floats = np.clip(1 - (along - 1) / length, 0, 1)
    return distances


OUTLIER = Score(
    "outlier",
    "how far the instance lies from others of its class, 0 to 1; none if there are too few",
    lambda run: outlierness(run.head, run.names),
)
