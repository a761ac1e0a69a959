"""How likely the label is wrong."""

from __future__ import annotations

import numpy as np

from ovsam_plugin.scoring.arrays import Floats, Numbers, column, same_length
from ovsam_plugin.scoring.score import Score


def doubt(
    confidence: Numbers,
    margin: Numbers,
    outlier: Numbers | None = None,
    objectness: Numbers | None = None,
) -> Floats:
    """How likely the label is wrong.

    Of the name, the mean of what the confidence and the margin lack to 1, and of how far the
    instance lies from others of its name; where that is not known it counts as the run's median,
    and in a run where it never is, not at all. A label is right where the name is and the instance
    is a whole thing, so the two chances are multiplied where the objectness is known.

    Args:
        confidence, margin: (N,) in 0..1.
        outlier: (N,) in 0..1 from `outliers.outlierness`.
        objectness: (N,) in 0..1.

    Returns:
        (N,) float64 in 0..1; NaN where there is no confidence or margin.

    Raises:
        ValueError: the lengths differ.
    """
    sure, clear = column(confidence), column(margin)
    same_length(confidence=sure, margin=clear)
    terms = [1 - sure, 1 - clear]
    if outlier is not None:
        far = column(outlier)
        same_length(confidence=sure, outlier=far)
        if not np.isnan(far).all():
            terms.append(np.where(np.isnan(far), np.nanmedian(far), far))
    right = 1 - np.mean(terms, axis=0)
    if objectness is not None:
        thing = column(objectness)
        same_length(confidence=sure, objectness=thing)
        right = right * np.where(np.isnan(thing), 1.0, thing)
    scores: Floats = np.clip(1 - right, 0, 1)
    return scores


_SIGNS = ("confidence", "margin", "outlier", "objectness")

DOUBT = Score(
    "doubt",
    "how likely the name is wrong, 0 to 1",
    lambda run: doubt(*(run.columns[name] for name in _SIGNS)),
    needs=_SIGNS,
)
