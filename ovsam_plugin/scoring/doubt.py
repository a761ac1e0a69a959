"""Orders of review: which instances a person should look at first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from ovsam_plugin.scoring.columns import Floats, Numbers, column, same_length

Columns = Mapping[str, Numbers]


@dataclass(frozen=True)
class Order:
    """One order of review.

    Attributes:
        name: its key in `ORDERS`.
        description: what comes first, for a form.
        attribute: the stored attribute that sorts the same way in a database.
        highest_first: whether the largest values of `attribute` come first, or the smallest.
        needs: the columns that `score` reads.
        score: columns -> (N,) float64 in 0..1, higher = look first; NaN where one of `needs` is.
    """

    name: str
    description: str
    attribute: str
    highest_first: bool
    needs: tuple[str, ...]
    score: Callable[[Columns], Floats]

    def is_offered(self, columns: Columns) -> bool:
        """Whether every column it needs is there, and has a number."""
        return all(
            name in columns and not np.isnan(column(columns[name])).all() for name in self.needs
        )


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


def doubt(
    confidence: Numbers,
    margin: Numbers,
    outlier: Numbers | None = None,
    objectness: Numbers | None = None,
) -> Floats:
    """The suggested order: how likely the label is wrong.

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


def order(name: str) -> Order:
    """The order of that name.

    Raises:
        ValueError: there is none; the message lists those there are.
    """
    if name not in ORDERS:
        raise ValueError(f"there is no order {name!r}: choose one of {', '.join(ORDERS)}")
    return ORDERS[name]


def _lack(name: str) -> Callable[[Columns], Floats]:
    return lambda columns: np.clip(1 - column(columns[name]), 0, 1)


def _suggested(columns: Columns) -> Floats:
    return doubt(
        columns["confidence"],
        columns["margin"],
        columns.get("outlier"),
        columns.get("objectness"),
    )


_ALL = (
    Order(
        "suggested",
        "likely wrong: low confidence, small margin, far from others of its name, hardly a thing",
        "doubt",
        True,
        ("confidence", "margin"),
        _suggested,
    ),
    Order("confidence", "least sure", "confidence", False, ("confidence",), _lack("confidence")),
    Order(
        "objectness",
        "parts, background and bad outlines: hardly whole things",
        "objectness",
        False,
        ("objectness",),
        _lack("objectness"),
    ),
    Order("margin", "two names nearly as likely", "margin", False, ("margin",), _lack("margin")),
    Order(
        "disagreement",
        "the two branches differ about the name",
        "disagreement",
        True,
        ("head_score", "clip_score"),
        lambda columns: disagreement(columns["head_score"], columns["clip_score"]),
    ),
    Order(
        "instability",
        "masks that change with their threshold",
        "stability",
        False,
        ("stability",),
        _lack("stability"),
    ),
    Order(
        "outlier",
        "far from others of its name",
        "outlier",
        True,
        ("outlier",),
        lambda columns: column(columns["outlier"]),
    ),
)
ORDERS: Mapping[str, Order] = MappingProxyType({each.name: each for each in _ALL})
"""Every order by its name, the suggested one first."""
