"""What a score is: a number on every named instance of a run, kept on its label."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ovsam_plugin.scoring.arrays import Floats


@dataclass(frozen=True, eq=False)
class NamedInstances:
    """What a score may read of a run's N named instances.

    Attributes:
        names: N, what the model calls each.
        columns: (N,) float64 each, NaN where there is none: what the labels hold of what the scores
            need, and the scores that are computed already.
        head: (N, D) float32, embeddings of the trained head.
        vectors: (N, 2 D) float32, embeddings of both branches side by side.
        fit: (N,) how well the vocabulary's best word fits, from `unknown.best_logit`.
        fit_elsewhere: (N,) the same of the everyday words that it is held against.
        share: of the instances, 0..1, that count as unknown; those of 0.5 and more when None.
    """

    names: Sequence[str]
    columns: dict[str, Floats]
    head: npt.NDArray[np.float32]
    vectors: npt.NDArray[np.float32]
    fit: Floats
    fit_elsewhere: Floats
    share: float | None = None


@dataclass(frozen=True)
class Score:
    """One score.

    Attributes:
        name: of the attribute that keeps it.
        description: of the attribute, for the App.
        compute: N instances -> (N,) numbers, NaN where an instance has none.
        needs: the numbers of a label that it reads, and the scores: those stand above it in
            `table.SCORES`.
        whole: whether its numbers are whole ones.
    """

    name: str
    description: str
    compute: Callable[[NamedInstances], Floats]
    needs: tuple[str, ...] = ()
    whole: bool = False
