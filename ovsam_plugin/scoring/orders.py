"""What instances can be doubted by: which a person should look at first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from ovsam_plugin.scoring.arrays import Floats, Numbers, column
from ovsam_plugin.scoring.disagreement import disagreement
from ovsam_plugin.scoring.doubt import doubt

Columns = Mapping[str, Numbers]


@dataclass(frozen=True)
class Order:
    """One order of a run's instances, the most doubtful first.

    Attributes:
        name: its key in `ORDERS`.
        description: what comes first, for a form.
        attribute: the stored attribute that sorts the same way in a database; no other order's.
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


def _stored(name: str) -> Callable[[Columns], Floats]:
    return lambda columns: column(columns[name])


def _doubt(columns: Columns) -> Floats:
    return doubt(
        columns["confidence"],
        columns["margin"],
        columns.get("outlier"),
        columns.get("objectness"),
    )


_ALL = (
    Order(
        "suggested",
        "likely wrong, and nothing that looks the same comes earlier: what teaches most",
        "priority",
        True,
        ("priority",),
        _stored("priority"),
    ),
    Order(
        "doubt",
        "likely wrong: low confidence, small margin, far from others of its name, hardly a thing",
        "doubt",
        True,
        ("confidence", "margin"),
        _doubt,
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
        "similarity",
        "does not look like its name",
        "similarity",
        False,
        ("similarity",),
        lambda columns: np.clip((1 - column(columns["similarity"])) / 2, 0, 1),
    ),
    Order(
        "outlier",
        "far from others of its name",
        "outlier",
        True,
        ("outlier",),
        _stored("outlier"),
    ),
    Order(
        "unknown",
        "no class of the vocabulary explains it",
        "unknown",
        True,
        ("unknown",),
        _stored("unknown"),
    ),
)
ORDERS: Mapping[str, Order] = MappingProxyType({each.name: each for each in _ALL})
"""Every order by its name, the suggested one first."""

BY_ATTRIBUTE: Mapping[str, Order] = MappingProxyType({each.attribute: each for each in _ALL})
"""The same by what labels keep."""
