"""What labels are ranked by, wherever that is asked: in results files and in evaluations."""

from __future__ import annotations

import math

import fiftyone as fo


def rank(label: fo.Detection, *, found: bool) -> float:
    """How surely a label is right.

    Args:
        label: with its confidence, that this is its name, and maybe its objectness, that there is a
            thing at all.
        found: whether nobody pointed at the thing, so that there may be none.

    Returns:
        0..1; 0 where the label does not say.
    """
    sure = number(label.confidence)
    thing = label.get_attribute_value("objectness", None)
    return sure * number(thing) if found and thing is not None else sure


def number(value: float | None) -> float:
    """What is not a number says nothing, as zero does; JSON has no NaN and no infinity.

    Args:
        value: of an attribute.
    """
    return float(value) if value is not None and math.isfinite(value) else 0.0
