"""What decisions on some instances teach about the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ovsam_plugin.scoring.arrays import Floats, Numbers, column, same_length, unit_rows

_POWER = 4
# As much as half an instance that looks the same and was doubted rightly.
_PRIOR = 0.5


@dataclass(frozen=True, eq=False)
class Lessons:
    """D decided instances.

    Attributes:
        doubt: (D,) in 0..1, the suggested order's before they were decided.
        names: D names, the model's own.
        embeddings: (D, C) of the trained head, of any length.
        wrong: (D,) bool, whether the name turned out not to be right.

    Raises:
        ValueError: the lengths differ.
    """

    doubt: Numbers
    names: Sequence[str]
    embeddings: npt.NDArray[np.floating]
    wrong: npt.NDArray[np.bool_]

    def __post_init__(self) -> None:
        if not len(self.doubt) == len(self.names) == len(self.embeddings) == len(self.wrong):
            raise ValueError("need one doubt, name, embedding and verdict for every decision")


def learned_doubt(
    doubt: Numbers,
    names: Sequence[str],
    embeddings: npt.NDArray[np.floating],
    lessons: Lessons,
) -> Floats:
    """The doubt about open instances, put right by what was decided about others.

    A decision tells how far the doubt about its instance was off: by 1 less the doubt where the
    name was wrong, by minus the doubt where it was right. An open instance takes over the mean of
    that from decided ones of its name, weighted by the fourth power of their cosine, and held back
    by a prior weight of "not off at all": a kernel regression (Nadaraya and Watson) of residuals.

    Args:
        doubt: (N,) in 0..1; NaN where it is not known.
        names: N names.
        embeddings: (N, C) of the trained head, of any length; zeros where there is none.
        lessons: what was decided.

    Returns:
        (N,) float64 in 0..1: what it was where nothing alike was decided, NaN where it was NaN.

    Raises:
        ValueError: the lengths differ.
    """
    known, before = column(doubt), column(lessons.doubt)
    same_length(doubt=known, names=np.zeros(len(names)), embeddings=np.zeros(len(embeddings)))
    if not len(known) or not len(before):
        return known
    cosines = unit_rows(embeddings) @ unit_rows(lessons.embeddings).T
    same = np.asarray(names, dtype=object)[:, None] == np.asarray(lessons.names, dtype=object)
    weights = np.where(same, np.clip(cosines, 0, 1), 0).astype(np.float64) ** _POWER
    off = lessons.wrong - before
    usable = ~np.isnan(off)
    shift = weights[:, usable] @ off[usable] / (weights[:, usable].sum(axis=1) + _PRIOR)
    learned: Floats = np.clip(known + shift, 0, 1)
    return learned
