"""Likely mistakes of a ground truth: where the model confidently says something else.

Not cleanlab, which is AGPL, nor fiftyone-brain's mistakenness, which pairs by box IoU in its own
way and cannot read what probability the top five gave the ground truth's own name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ovsam_plugin.scoring.arrays import Floats

MIN_IOU = 0.5


@dataclass(frozen=True, eq=False)
class Matched:
    """N true instances, each with the prediction that is matched to it.

    Attributes:
        truth: N names of the ground truth.
        predicted: N names of the model, spelled by the same vocabulary; None where it gave none.
        iou: (N,) in 0..1 of the two masks or boxes.
        confidence: (N,) in 0..1, probability of `predicted`.
        truth_score: (N,) in 0..1, probability that the prediction gives `truth`; 0 where that is
            not among its best five.

    Raises:
        ValueError: the lengths differ.
    """

    truth: Sequence[str]
    predicted: Sequence[str | None]
    iou: npt.NDArray[np.floating]
    confidence: npt.NDArray[np.floating]
    truth_score: npt.NDArray[np.floating]

    def __post_init__(self) -> None:
        lengths = {name: len(values) for name, values in vars(self).items()}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise ValueError(f"need one of each per pair, got {told}")

    def __len__(self) -> int:
        return len(self.truth)


def mistake_scores(pairs: Matched, min_iou: float = MIN_IOU) -> Floats:
    """How likely each name of the ground truth is a mistake.

    The model's probability of its own name less that of the ground truth's: a confident
    disagreement, and none where the model only wavers between the two.

    Args:
        pairs: the matched instances.
        min_iou: pairs that overlap less may be two different things, and say nothing.

    Returns:
        (N,) float64 in 0..1; 0 where the names agree, or the overlap is too small.

    Raises:
        ValueError: `min_iou` is outside 0..1.
    """
    if not 0 <= min_iou <= 1:
        raise ValueError(f"the least overlap is {min_iou}: allowed is 0 to 1")
    differ = np.array(
        [name is not None and name != true for true, name in zip(pairs.truth, pairs.predicted)],
        dtype=bool,
    )
    gap = np.asarray(pairs.confidence, float) - np.asarray(pairs.truth_score, float)
    # NaN compares as False: a pair that misses a number says nothing.
    tells = differ & (np.asarray(pairs.iou) >= min_iou) & (gap > 0)
    return np.where(tells, np.clip(gap, 0, 1), 0.0)


def likely_mistakes(
    pairs: Matched, min_score: float = 0.0, min_iou: float = MIN_IOU
) -> npt.NDArray[np.int64]:
    """Places of the pairs with a score above `min_score`, the likeliest mistake first.

    Args, Raises: see `mistake_scores`; equal scores keep the order of the pairs.
    """
    scores = mistake_scores(pairs, min_iou)
    order = np.argsort(-scores, kind="stable")
    return order[scores[order] > min_score].astype(np.int64)
