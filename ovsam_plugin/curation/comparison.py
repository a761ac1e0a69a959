"""Two runs whose labels share their ids, such as a run and what it was relabelled to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from fiftyone import ViewExpression
from fiftyone import ViewField as F

from ovsam_plugin.curation.attributes import own_detections
from ovsam_plugin.curation.views import View
from ovsam_plugin.dataset.targets import Samples


@dataclass(frozen=True)
class Change:
    """A name that became another, and in how many instances; None is no name."""

    before: str | None
    after: str | None
    instances: int


@dataclass(frozen=True)
class Comparison:
    """What two runs call the same instances.

    Attributes:
        first, second: the fields.
        same: instances with the same name in both, or none in both.
        different: instances with another.
        only_first, only_second: instances that only one of them has.
        changes: the changes of name, the most common first.
    """

    first: str
    second: str
    same: int
    different: int
    only_first: int
    only_second: int
    changes: tuple[Change, ...]


def compare_runs(samples: Samples, first: str, second: str) -> Comparison:
    """Counts what two runs call the same instances, paired by their label ids.

    Args:
        samples: a dataset or view.
        first, second: fields of Detections.

    Returns:
        the counts.

    Raises:
        ValueError: there is no such field, both are one, or no label is in both.
    """
    view = _checked(samples, first, second)
    paths = [f"{field}.detections.{name}" for field in (first, second) for name in ("id", "label")]
    same = shared = total_first = total_second = 0
    changes: Counter[tuple[str | None, str | None]] = Counter()
    for ids_1, names_1, ids_2, names_2 in zip(*view.values(paths)):
        before = dict(zip(ids_1 or (), names_1 or ()))
        after = dict(zip(ids_2 or (), names_2 or ()))
        total_first, total_second = total_first + len(before), total_second + len(after)
        for label_id in before.keys() & after.keys():
            shared += 1
            pair = before[label_id], after[label_id]
            same += pair[0] == pair[1]
            if pair[0] != pair[1]:
                changes[pair] += 1
    if not shared and total_first and total_second:
        raise ValueError(
            f"no label is in both {first!r} and {second!r}: only runs that share their label ids "
            "can be compared, such as a run and a field that was relabelled from it"
        )
    ordered = sorted(changes.items(), key=lambda item: (-item[1], str(item[0])))
    return Comparison(
        first=first,
        second=second,
        same=same,
        different=shared - same,
        only_first=total_first - shared,
        only_second=total_second - shared,
        changes=tuple(Change(*names, count) for names, count in ordered),
    )


def named_differently(samples: Samples, first: str, second: str) -> View:
    """Instances of the second run that have another name in the first.

    Raises:
        ValueError: there is no such field, or both are one.
    """
    samples = _checked(samples, first, second)
    theirs = F(f"${first}.detections")
    shared = _within(F("_id"), theirs.map(F("_id")))
    return samples.filter_labels(second, shared & ~_within(_named(), theirs.map(_named())))


def _named() -> ViewExpression:
    """The label's id and name in one string; a missing name is the empty one."""
    name = F("label").exists().if_else(F("label"), "")
    return F("_id").to_string().concat(" ", name)


def _within(value: ViewExpression, values: ViewExpression) -> ViewExpression:
    # `is_in` makes a list of its argument, which never ends with an expression.
    return ViewExpression({"$in": [value, values]})


def _checked(samples: Samples, first: str, second: str) -> Samples:
    for field in (first, second):
        samples = own_detections(samples, field)
    if first == second:
        raise ValueError(f"{first!r} cannot be compared with itself: give two fields")
    return samples
