"""How far figures of these photographs hold for others like them: photographs drawn again."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

ROUNDS = 1000
LEVEL = 0.95


class Interval(NamedTuple):
    """Bounds of a figure; NaN where there is nothing to draw from."""

    low: float
    high: float


NOWHERE = Interval(float("nan"), float("nan"))


def mean_intervals(
    values: Floats, image: npt.NDArray[np.int64], rounds: int = ROUNDS, seed: int = 0
) -> list[Interval]:
    """Percentile intervals of means over instances (Efron's bootstrap).

    Whole photographs are drawn, with replacement, since instances of one are alike.

    Args:
        values: (N, M), M figures of N instances.
        image: (N,) which photograph each lies on.
        rounds: how often.
        seed: of the drawing.

    Returns:
        M intervals that hold `LEVEL` of the drawn means.
    """
    if not len(values):
        return [NOWHERE] * values.shape[1]
    sums, counts = _by_image(values, image)
    rng, total = np.random.default_rng(seed), len(counts)
    means = np.empty((rounds, values.shape[1]))
    for number in range(rounds):
        drawn = np.bincount(rng.integers(total, size=total), minlength=total)
        means[number] = drawn @ sums / (drawn @ counts)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(means, (tail, 1 - tail), axis=0)
    return [Interval(float(a), float(b)) for a, b in zip(low, high)]


def paired_p(
    differences: Floats, image: npt.NDArray[np.int64], rounds: int = ROUNDS, seed: int = 0
) -> float:
    """How often chance alone makes two runs differ at least as much in their mean (Fisher).

    Where neither is better, it is chance which of the two gave which answers on a photograph: the
    sign of each photograph's difference is drawn anew.

    Args:
        differences: (N,) one run's value of each instance less the other's.
        image, rounds, seed: see `mean_intervals`.

    Returns:
        A two-sided p, from 1 / (rounds + 1) to 1.
    """
    if not len(differences):
        return 1.0
    sums, _ = _by_image(differences[:, None], image)
    rng, each = np.random.default_rng(seed), sums[:, 0]
    seen = abs(each.sum()) - 1e-9 * np.abs(each).sum()  # equal but for rounding counts as equal
    as_far = 0
    for _ in range(rounds):
        signs = 2 * rng.integers(0, 2, size=len(each), dtype=np.int8) - 1
        as_far += abs(float(signs @ each)) >= seen
    return (as_far + 1) / (rounds + 1)


def _by_image(values: Floats, image: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    """(I, M) sums over each photograph, and (I,) how many instances it has."""
    images, place = np.unique(image, return_inverse=True)
    sums = [np.bincount(place, column, len(images)) for column in values.T]
    return np.stack(sums, axis=1), np.bincount(place).astype(np.float64)
