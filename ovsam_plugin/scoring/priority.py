"""The suggested order of review: what is doubted, each look once before any comes again."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ovsam_plugin.scoring.arrays import Floats, Numbers, column, same_length, unit_rows
from ovsam_plugin.scoring.score import Score

FIRST = 1000
"""Instances that are put in their places one by one; the others follow by what is left of them."""

# How little must be alike until a decision on one says nothing of the other.
_POWER = 16
# So many of the most doubtful take part in a round. It ends when so many are placed, or before,
# when one outside may come next; but not before so many are.
_POOL, _ROUND, _LEAST = 2048, 64, 16


def priority(doubt: Numbers, embeddings: npt.NDArray[np.floating]) -> Floats:
    """The doubt about an instance, less where one that looks the same comes before it.

    A person who decides the most doubtful first sees many of one kind, and names learned from these
    decisions help few others. Here each instance, once placed, takes from all others the share of
    their doubt that is the sixteenth power of their cosine, and the most that is left comes next
    (greedy, as in maximal marginal relevance).

    Args:
        doubt: (N,) in 0..1; NaN where it is not known.
        embeddings: (N, E), of any length; zeros where there is none.

    Returns:
        (N,) float64 in 0..1, higher = earlier; NaN where the doubt is.

    Raises:
        ValueError: the lengths differ.
    """
    known = column(doubt)
    same_length(doubt=known, embeddings=np.zeros(len(embeddings)))
    units = unit_rows(embeddings)
    result = np.full(len(known), np.nan)
    waiting = np.flatnonzero(~np.isnan(known))
    left = known[waiting]
    last = 1.0
    total = len(waiting)
    while len(waiting) and total - len(waiting) < FIRST:
        order = np.argsort(-left, kind="stable")
        pool, outside = order[:_POOL], left[order[_POOL]] if len(order) > _POOL else 0.0
        chosen = _placed(left[pool], units[waiting[pool]], outside)
        for place, value in chosen:
            last = min(last, value)
            result[waiting[pool[place]]] = last
        gone = pool[[place for place, _ in chosen]]
        stay = np.ones(len(waiting), dtype=bool)
        stay[gone] = False
        shares = 1 - _alike(units[waiting[stay]], units[waiting[gone]])
        left, waiting = left[stay] * shares.prod(axis=1), waiting[stay]
    result[waiting] = np.minimum(left, last)
    return result


def shares(priorities: Numbers, doubt: Numbers) -> Floats:
    """(N,) which part of the doubt counts, 0..1, for N of a run; the whole where there is none."""
    left, known = column(priorities), column(doubt)
    same_length(priorities=left, doubt=known)
    ones = np.where(np.isnan(known), np.nan, 1.0)
    found: Floats = np.divide(left, known, out=ones, where=known > 0)
    return np.minimum(found, 1)


def _placed(
    left: Floats, units: npt.NDArray[np.float32], outside: float
) -> list[tuple[int, float]]:
    """The first of a pool, each with what was left of its doubt when it came."""
    alike = _alike(units, units)
    left = left.copy()
    found: list[tuple[int, float]] = []
    while len(found) < min(_ROUND, len(left)):
        place = int(left.argmax())
        value = float(left[place])
        if value < outside and len(found) >= _LEAST:
            break
        found.append((place, value))
        left *= 1 - alike[place]
        left[place], alike[:, place] = -1, 0  # and so it stays
    return found


def _alike(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(n, m), what a decision on one of `other` says of each of `one`, 0 to 1."""
    cosines: npt.NDArray[np.float32] = np.clip(one @ other.T, 0, 1)
    for _ in range(_POWER.bit_length() - 1):
        cosines *= cosines
    return cosines


PRIORITY = Score(
    "priority",
    "the doubt, less where an instance that looks the same comes earlier, 0 to 1: the order of "
    "review",
    lambda run: priority(run.columns["doubt"], run.vectors),
    needs=("doubt",),
)
