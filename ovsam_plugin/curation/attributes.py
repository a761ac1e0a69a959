"""What curation adds to a label: the scores that order a review, and what a person decided."""

from __future__ import annotations

import math

import fiftyone as fo

from ovsam_plugin.dataset import provenance, targets
from ovsam_plugin.dataset.fields import Attribute, declare_attributes, describe
from ovsam_plugin.dataset.internals import is_generated
from ovsam_plugin.dataset.targets import Samples, copies_of, flat
from ovsam_plugin.scoring import table

SCORES = tuple(
    Attribute(score.name, fo.IntField if score.whole else fo.FloatField, score.description)
    for score in table.SCORES
)

DECISION = provenance.DECISION

SEARCH = (
    Attribute(
        "search_score",
        fo.FloatField,
        "cosine of the instance and what was last searched for, -1 to 1; none if not found",
    ),
)

ATTRIBUTES = (*SCORES, *SEARCH, *DECISION)


def declare(dataset: fo.Dataset, field: str) -> None:
    """Declares what curation adds to the labels of a field, each with its description.

    What is declared already stays as it is, so this may be called again.

    Args:
        dataset: the dataset, not a view.
        field: a field of Detections.

    Raises:
        ValueError: there is no such field, it holds something else, or an attribute of one of
            these names holds another type.
    """
    targets.check_detections(dataset, field)
    declared = {a.name: dataset.get_field(f"{field}.detections.{a.name}") for a in ATTRIBUTES}
    for attribute in ATTRIBUTES:
        existing = declared[attribute.name]
        if existing is not None and not isinstance(existing, attribute.kind):
            raise ValueError(
                f"attribute {attribute.name!r} of {field!r} holds {describe(existing)}, and "
                f"curation keeps {attribute.kind.__name__} there: rename it with "
                f"dataset.rename_sample_field('{field}.detections.{attribute.name}', ...)"
            )
    declare_attributes(dataset, field, ATTRIBUTES)


def own_detections(samples: Samples, field: str) -> Samples:
    """The samples, each standing for itself, where the field holds instances to curate; see `flat`.

    Raises:
        ValueError: there is no such field, it holds something else, or a view of patches or one
            that is grouped by a field is given.
    """
    check_no_copies(samples)
    targets.check_detections(samples, field)
    return flat(samples)


def check_no_copies(samples: Samples) -> None:
    """Whether the samples are a dataset's own.

    Raises:
        ValueError: a view made them, as one of patches does.
    """
    if is_generated(samples):
        raise ValueError(copies_of(samples))


def number(value: object) -> float | None:
    """A finite number, as JSON has it; None of anything else."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
