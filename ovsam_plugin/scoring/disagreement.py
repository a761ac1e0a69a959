"""How much the two branches differ about a label."""

from __future__ import annotations

import numpy as np

from ovsam_plugin.scoring.arrays import Floats, Numbers, column, same_length
from ovsam_plugin.scoring.score import Score


def disagreement(head_score: Numbers, clip_score: Numbers) -> Floats:
    """How much the two branches differ about a label.

    One less the ratio of the smaller probability to the larger: 0 where they agree, 0.9 where one
    gives the label ten times the other's. A ratio, since the branches enter the fused score as a
    product, and one that is flatter everywhere would always differ by a plain difference.

    Args:
        head_score, clip_score: (N,) in 0..1, each branch's own probability of the label.

    Returns:
        (N,) float64 in 0..1, symmetric; NaN where either is.

    Raises:
        ValueError: the lengths differ.
    """
    head, clip = column(head_score), column(clip_score)
    same_length(head_score=head, clip_score=clip)
    larger = np.maximum(head, clip)
    ratio = np.divide(np.minimum(head, clip), larger, out=np.ones(len(head)), where=larger != 0)
    differences: Floats = np.clip(1 - ratio, 0, 1)
    return differences


DISAGREEMENT = Score(
    "disagreement",
    "how much the two branches differ about the label",
    lambda run: disagreement(run.columns["head_score"], run.columns["clip_score"]),
    needs=("head_score", "clip_score"),
)
