"""What decisions teach about names: a linear head over a fixed prior, and how much it is worth.

Multinomial logistic regression with an offset: the log scores that the words give stand as they
are, and a head of one weight vector a decided class is added to them. The weights are held back by
a Gaussian prior of mean 0 (ridge), so that few decisions move little and none move nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp
from sklearn.model_selection import GroupKFold

Floats = npt.NDArray[np.float64]
Vectors = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

RIDGES = (0.3, 3.0, 30.0)
"""Of which the one is taken that explains decisions on other photographs best."""

FOLDS = 5
_INNER_FOLDS = 3
_STEPS = 100


@dataclass(frozen=True, eq=False)
class Prior:
    """Log scores that words give N instances, as far as decisions about C classes need them.

    Attributes:
        scores: (N, C) of the classes that something was decided about, "none of these" last where
            instances were rejected.
        rest: (N,) log of the summed exponentials of all other classes and "none of these".
        rival: (N,) the largest of the other classes.
    """

    scores: Floats
    rest: Floats
    rival: Floats

    @classmethod
    def of(cls, log_scores: npt.NDArray[np.floating], classes: Ints) -> Prior:
        """What is needed of all scores.

        Args:
            log_scores: (N, K + 1), not normalised, "none of these" last.
            classes: (C,) ascending places among the K + 1.
        """
        scores = log_scores.astype(np.float64)
        others = np.delete(scores, classes, axis=1)
        names = np.delete(scores[:, :-1], classes[classes < scores.shape[1] - 1], axis=1)
        lowest = np.full(len(scores), -np.inf)
        return cls(
            scores=scores[:, classes],
            rest=logsumexp(others, axis=1) if others.shape[1] else lowest,
            rival=names.max(axis=1) if names.shape[1] else lowest,
        )

    def __getitem__(self, keep: Ints) -> Prior:
        """Of some of the instances."""
        return Prior(self.scores[keep], self.rest[keep], self.rival[keep])


@dataclass(frozen=True, eq=False)
class Decisions:
    """N decided instances.

    Attributes:
        vectors: (N, E) float32 embeddings.
        prior: what words say of them.
        classes: (N,) the place of the decided class among the C of the prior; each has one.
        groups: (N,) which photograph each lies on.
        rejected: whether the last class is "none of these".

    Raises:
        ValueError: the lengths differ, or a class is not one of C.
    """

    vectors: Vectors
    prior: Prior
    classes: Ints
    groups: Ints
    rejected: bool = False

    def __post_init__(self) -> None:
        total, known = self.prior.scores.shape
        if not len(self.vectors) == total == len(self.classes) == len(self.groups):
            raise ValueError("need a vector, scores, a class and a photograph for every decision")
        if total and not 0 <= self.classes.min() <= self.classes.max() < known:
            raise ValueError(f"a decided class is not one of {known}")

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, keep: Ints) -> Decisions:
        """Some of them."""
        return Decisions(
            self.vectors[keep],
            self.prior[keep],
            self.classes[keep],
            self.groups[keep],
            self.rejected,
        )


@dataclass(frozen=True)
class Gain:
    """What learning is worth on decisions of photographs that were not learned from.

    Attributes:
        judged: decided instances with a name.
        before, after: how many of them had the right name, and have it.
    """

    judged: int
    before: int
    after: int


def fit_head(decisions: Decisions, ridge: float | None = None) -> Vectors:
    """The head of least loss, which is one: the loss is convex.

    Args:
        decisions: what was decided.
        ridge: how strongly the weights are held back, above 0; `chosen_ridge` when None.

    Returns:
        (C, E) float32, added to the prior by `vectors @ head.T`; exactly 0 for a class that none
        of these decisions names.
    """
    vectors = decisions.vectors.astype(np.float64)
    prior = decisions.prior
    head = np.zeros((prior.scores.shape[1], vectors.shape[1]), np.float32)
    taught, places = np.unique(decisions.classes, return_inverse=True)
    if not len(taught):
        return head
    held = chosen_ridge(decisions) if ridge is None else ridge
    # Classes without a decision are a constant of the loss: one column for all of them.
    untaught = np.delete(prior.scores, taught, axis=1)
    rest = logsumexp(np.column_stack([prior.rest, untaught]), axis=1)
    fixed = np.column_stack([prior.scores[:, taught], rest])
    rows = np.arange(len(places))
    shape = (len(taught), vectors.shape[1])

    def loss(flat: Floats) -> tuple[float, Floats]:
        weights = flat.reshape(shape)
        scores = fixed.copy()
        scores[:, :-1] += vectors @ weights.T
        logs = log_softmax(scores, axis=1)
        off = np.exp(logs[:, :-1])
        off[rows, places] -= 1
        gradient = off.T @ vectors + held * weights
        value = held / 2 * float((weights**2).sum()) - float(logs[rows, places].sum())
        return value, gradient.ravel()

    start = np.zeros(shape[0] * shape[1])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": _STEPS})
    head[taught] = found.x.reshape(shape)
    return head


def chosen_ridge(decisions: Decisions) -> float:
    """The ridge with the least log loss on decisions of photographs that were not learned from.

    Where all lie on one photograph, the strongest.
    """
    if len(np.unique(decisions.groups)) < 2:
        return RIDGES[-1]
    loss = dict.fromkeys(RIDGES, 0.0)
    for taught, held_out in _folds(decisions, _INNER_FOLDS):
        some = decisions[held_out]
        for ridge in RIDGES:
            scores = some.prior.scores + some.vectors @ fit_head(decisions[taught], ridge).T
            logs = log_softmax(np.column_stack([scores, some.prior.rest]), axis=1)
            loss[ridge] -= float(logs[np.arange(len(some)), some.classes].sum())
    return min(RIDGES, key=lambda ridge: loss[ridge])


def cross_validated(decisions: Decisions, folds: int = FOLDS) -> Gain:
    """The gain, each part of the photographs judged by what was learned from the others.

    How strongly the weights are held back is chosen within the others, too. Rejected instances are
    learned from and not judged: they have no right name.

    Args:
        decisions: what was decided, on two photographs or more.
        folds: parts; fewer where there are fewer photographs.
    """
    before, after, judged = 0, 0, 0
    for taught, held_out in _folds(decisions, folds):
        some = decisions[held_out]
        head = fit_head(decisions[taught])
        named = some.classes < some.prior.scores.shape[1] - some.rejected
        judged += int(named.sum())
        before += int((_right(some, some.prior.scores) & named).sum())
        after += int((_right(some, some.prior.scores + some.vectors @ head.T) & named).sum())
    return Gain(judged, before, after)


def _folds(decisions: Decisions, folds: int) -> Iterator[tuple[Ints, Ints]]:
    """Which decisions to learn from and which to judge; whole photographs each."""
    parts = min(folds, len(np.unique(decisions.groups)))
    yield from GroupKFold(parts).split(decisions.vectors, groups=decisions.groups)


def _right(decisions: Decisions, scores: Floats) -> npt.NDArray[np.bool_]:
    """(N,) whether the decided class has the largest score of all names."""
    names = scores[:, : scores.shape[1] - decisions.rejected]
    if not names.shape[1]:
        return np.zeros(len(scores), dtype=bool)
    right: npt.NDArray[np.bool_] = names.argmax(axis=1) == decisions.classes
    right &= names.max(axis=1) > decisions.prior.rival
    return right
