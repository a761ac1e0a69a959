"""Views of a run's field: what is rare, novel, unknown, doubtful, or not yet looked at.

Every one is made of expressions, not of ids, so that it can be saved and stays true while labels
are reviewed, and takes a dataset or a view. Instances without a name (empty masks) are in none.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import fiftyone.core.view as fov
import numpy as np
import numpy.typing as npt
from fiftyone import ViewExpression
from fiftyone import ViewField as F

from ovsam_plugin.curation.attributes import own_detections
from ovsam_plugin.curation.groups import no_such_group, unknown_groups
from ovsam_plugin.dataset.expressions import DECIDED, filtered
from ovsam_plugin.dataset.internals import aggregate
from ovsam_plugin.dataset.targets import Samples, all_images, root_dataset
from ovsam_plugin.ranges import check_part
from ovsam_plugin.renaming import renamed
from ovsam_plugin.scoring.orders import BY_ATTRIBUTE
from ovsam_plugin.scoring.rarity import ClassCount
from ovsam_plugin.scoring.rarity import fewer_than as rarer_than
from ovsam_plugin.scoring.rarity import tail as tail_of
from ovsam_plugin.scoring.table import SCORES

View: TypeAlias = fov.DatasetView

FEWER_THAN = 10
"""Instances that a class has at least if it is not rare in a dataset."""

UNKNOWN_ABOVE = 0.5
"""Least `unknown` of an instance that no class explains."""

DOUBTFUL_PERCENT = 10.0
"""Share of the instances that is doubtful, unless told otherwise."""

DOUBTS = tuple(BY_ATTRIBUTE)
"""What instances can be doubted by, as labels keep it; see `scoring.orders`."""

_WITHOUT = {
    "frequency": "its vocabulary has no LVIS groups; label or relabel with LVIS",
    "split": "its vocabulary has no split; label or relabel with COCO, LVIS or a vocabulary file "
    "that has the column split",
}


@renamed(field="label_field")
def class_counts(samples: Samples, label_field: str) -> tuple[ClassCount, ...]:
    """The classes of a field and their instances in the whole dataset, the most frequent first.

    Args:
        samples: a dataset or view.
        label_field: a field of Detections.

    Returns:
        each class that has instances, with their number.

    Raises:
        ValueError: there is no such field, or it holds no detections.
    """
    own_detections(samples, label_field)
    counts = all_images(root_dataset(samples)).count_values(f"{label_field}.detections.label")
    named = (ClassCount(name, int(n)) for name, n in counts.items() if name is not None)
    return tuple(sorted(named, key=lambda count: (-count.instances, count.name)))


@renamed(field="label_field")
def rare_classes(
    samples: Samples,
    label_field: str,
    *,
    fewer_than: int | None = None,
    tail_percent: float | None = None,
) -> tuple[ClassCount, ...]:
    """The classes that are rare in this dataset, the rarest first.

    A class is as rare as it is in the whole dataset, also where a view is given.

    Args:
        samples: a dataset or view.
        label_field: a field of Detections.
        fewer_than: instances that a class has at least if it is not rare; 10 unless given.
        tail_percent: instead, the rarest classes that together hold at most this share of the
            instances, 0 to 100.

    Returns:
        as `class_counts`.

    Raises:
        ValueError: there is no such field, both are given, or one is out of range.
    """
    if fewer_than is not None and tail_percent is not None:
        raise ValueError("fewer_than and tail_percent are two ways to say what is rare: give one")
    counts = class_counts(samples, label_field)
    if tail_percent is not None:
        return tail_of(counts, tail_percent)
    return rarer_than(counts, FEWER_THAN if fewer_than is None else fewer_than)


@renamed(field="label_field")
def rare_here(
    samples: Samples,
    label_field: str,
    *,
    fewer_than: int | None = None,
    tail_percent: float | None = None,
) -> View:
    """Instances of classes that are rare in this dataset; see `rare_classes`.

    The view holds the names that are rare now: make it again after labelling more.

    Args:
        samples: a dataset or view.
        label_field: a field of Detections.
        fewer_than, tail_percent: as for `rare_classes`.

    Returns:
        the instances, in their samples.

    Raises:
        ValueError: as for `rare_classes`.
    """
    found = rare_classes(samples, label_field, fewer_than=fewer_than, tail_percent=tail_percent)
    # Literally: "$5 bill" would be read as the path of a field.
    names = F.literal([count.name for count in found])
    return _only(samples, label_field, ViewExpression({"$in": [F("label"), names]}))


@renamed(field="label_field")
def rare_in_lvis(samples: Samples, label_field: str) -> View:
    """Instances of LVIS's rare classes.

    Args:
        samples: a dataset or view.
        label_field: a field of Detections.

    Returns:
        the instances, in their samples.

    Raises:
        ValueError: there is no such field, or its vocabulary has no LVIS groups.
    """
    _required(samples, label_field, "frequency")
    return _only(samples, label_field, F("frequency") == "r")


@renamed(field="label_field")
def novel(samples: Samples, label_field: str) -> View:
    """Instances of classes that are novel by the vocabulary's split.

    Args:
        samples: a dataset or view.
        label_field: a field of Detections.

    Returns:
        the instances, in their samples.

    Raises:
        ValueError: there is no such field, or its vocabulary has no split.
    """
    _required(samples, label_field, "split")
    return _only(samples, label_field, F("split") == "novel")


@renamed(field="label_field")
def unknown(
    samples: Samples,
    label_field: str,
    *,
    above: float | None = None,
    percent: float | None = None,
    group: int | None = None,
) -> View:
    """Instances that no class explains and nobody has decided about.

    Args:
        samples: a dataset or view.
        label_field: a field of Detections that `score_run` has scored.
        above: least `unknown`, 0 to 1; 0.5 where nothing is given.
        percent: instead, so many of these samples' instances with the highest `unknown`, 0 to
            100; all that are as high as the last are among them.
        group: instead, the instances of the group of this number.

    Returns:
        the instances, in their samples.

    Raises:
        ValueError: there is no such field, it has no scores yet, there is no such group, more than
            one is given, or one is out of range.
    """
    if sum(given is not None for given in (above, percent, group)) > 1:
        raise ValueError("above, percent and group are three ways to say what is unknown: give one")
    if group is not None:
        _required(samples, label_field, "group")
        known = unknown_groups(samples, label_field)
        if group not in [found.number for found in known]:
            raise ValueError(no_such_group(group, known))
        return _only(samples, label_field, (F("group") == group) & _undecided())
    samples = _required(samples, label_field, "unknown")
    if percent is not None:
        return _most(samples, label_field, "unknown", percent)
    least = UNKNOWN_ABOVE if above is None else above
    check_part("above", least)
    return _only(samples, label_field, (F("unknown") >= least) & _undecided())


@renamed(field="label_field")
def doubtful(
    samples: Samples,
    label_field: str,
    *,
    by: str = "doubt",
    percent: float = DOUBTFUL_PERCENT,
    worst_first: bool = True,
) -> View:
    """The most doubtful instances that nobody has decided about.

    Args:
        samples: a dataset or view.
        label_field: a field of Detections.
        by: one of DOUBTS.
        percent: share of these samples' undecided instances, 0 to 100; all that are as doubtful as
            the last are among them.
        worst_first: whether the samples with the most doubtful instances come first. Patches are
            sorted by themselves, and are there sooner without.

    Returns:
        the instances, in their samples.

    Raises:
        ValueError: there is no such field or score, the field has no such score yet, or the share
            is out of range.
    """
    _check_doubt(by)
    samples = _required(samples, label_field, by)
    most = _most(samples, label_field, by, percent)
    if not worst_first:
        return most
    values = F(f"{label_field}.detections.{by}")
    high = BY_ATTRIBUTE[by].highest_first
    return most.sort_by(values.max() if high else values.min(), reverse=high)


@renamed(field="label_field")
def not_reviewed(samples: Samples, label_field: str) -> View:
    """Named instances that nobody has accepted, renamed or rejected.

    Args:
        samples: a dataset or view.
        label_field: a field of Detections.

    Returns:
        the instances, in their samples.

    Raises:
        ValueError: there is no such field, or it holds no detections.
    """
    return _only(samples, label_field, _undecided())


@renamed(field="label_field")
def is_filled(samples: Samples, label_field: str, attribute: str) -> bool:
    """Whether any label of the dataset has the attribute; stops at the first that does.

    Args:
        samples: a dataset, or a view that stands for it.
        label_field: a field of Detections.
        attribute: of its labels.

    Returns:
        whether one has a number or a text there; False where the dataset has no such field.

    Raises:
        TypeError: `samples` is no dataset or view.
    """
    dataset = root_dataset(samples)
    path = f"{label_field}.detections.{attribute}"
    if dataset.get_field(path) is None:
        return False
    filled = {path: {"$type": ["number", "string"]}}
    stages: list[Any] = [{"$match": filled}, {"$limit": 1}, {"$project": {"_id": True}}]
    return next(iter(aggregate(all_images(dataset), stages)), None) is not None


def why_no_groups(samples: Samples, label_field: str) -> str:
    """What a person is told where `unknown_groups` finds none, with the next step.

    Args:
        samples: a dataset, or a view that stands for it.
        label_field: a run's field.

    Returns:
        one of three: it was never scored, no group was found, or all have been decided about.

    Raises:
        TypeError: `samples` is no dataset or view.
    """
    if not is_filled(samples, label_field, "unknown"):
        return "no groups of unknown instances: score the run first, with Score a run"
    if not is_filled(samples, label_field, "group"):
        return (
            "no group of unknown instances was found: raise the share that counts as unknown in "
            "Score a run"
        )
    return "all groups of unknown instances have been decided about"


@renamed(field="label_field")
def as_patches(view: View, label_field: str, by: str | None = None) -> View:
    """One patch an instance, the highest or the most doubtful first where `by` is given.

    Args:
        view: from a function of this module.
        label_field: of the same field.
        by: one of DOUBTS; None keeps the order of the samples.

    Returns:
        a view of patches.

    Raises:
        ValueError: there is no such field, or no such score.
    """
    if by is None:
        return view.to_patches(label_field)
    _check_doubt(by)
    high = BY_ATTRIBUTE[by].highest_first
    return view.to_patches(label_field).sort_by(f"{label_field}.{by}", reverse=high)


def _only(samples: Samples, label_field: str, expression: ViewExpression) -> View:
    samples = own_detections(samples, label_field)
    return samples.filter_labels(label_field, F("label").exists() & expression)


def _check_doubt(by: str) -> None:
    if by not in DOUBTS:
        raise ValueError(
            f"instances cannot be doubted by {by!r}: choose one of {', '.join(DOUBTS)}"
        )


def _undecided() -> ViewExpression:
    return ~F("review").exists()


def _most(samples: Samples, label_field: str, by: str, percent: float) -> View:
    """The undecided instances whose score is among the first so many percent."""
    if not 0 < percent <= 100:
        raise ValueError(f"percent is {percent}, must be above 0 and at most 100")
    high = BY_ATTRIBUTE[by].highest_first
    values = _open_values(samples, label_field, by)
    if not values.size:
        return _only(samples, label_field, _undecided() & F(by).exists())
    # 10 % of 30 is 3, although 0.1 * 30 is a little more.
    count = max(math.ceil(round(percent * values.size / 100, 9)), 1)
    bound = float(np.sort(-values if high else values)[count - 1])
    # The database holds what is no number below every number.
    within = F(by) >= -bound if high else (F(by) <= bound) & (F(by) >= -1)
    return _only(samples, label_field, _undecided() & within)


def _open_values(samples: Samples, label_field: str, by: str) -> npt.NDArray[np.float64]:
    """A score of all undecided instances, read without anything else of them."""
    labels = f"{label_field}.detections"
    is_open = {"$and": [{"$gt": ["$$d.label", None]}, {"$not": [DECIDED]}]}
    wanted = {"$and": [is_open, {"$isNumber": f"$$d.{by}"}]}
    chosen = filtered(f"${labels}", wanted)
    rows = aggregate(
        samples,
        [
            # First, so that no mask is copied on the way.
            {"$project": {f"{labels}.{name}": True for name in ("label", "review", by)}},
            {"$project": {"found": {"$map": {"input": chosen, "as": "d", "in": f"$$d.{by}"}}}},
        ],
    )
    values = (value for row in rows for value in row["found"] or ())
    return np.array([value for value in values if math.isfinite(value)], dtype=float)


def _required(samples: Samples, label_field: str, attribute: str) -> Samples:
    """The samples, each standing for itself, where a label of the dataset has the attribute.

    Raises:
        ValueError: none has; the message says what fills it.
    """
    samples = own_detections(samples, label_field)
    if is_filled(samples, label_field, attribute):
        return samples
    reason = f"no label of {label_field!r} has {attribute!r}"
    if attribute in (score.name for score in SCORES):
        raise ValueError(f"{reason} yet: run score_run(dataset, {label_field!r}) first")
    raise ValueError(f"{reason}: {_WITHOUT.get(attribute, 'it is filled when labels are made')}")
