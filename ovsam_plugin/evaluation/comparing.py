"""Two runs on the same instances: by how much one is better, and whether that is chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ovsam_plugin.evaluation.average_precision import MaskPrecision
from ovsam_plugin.evaluation.metrics import Outcomes
from ovsam_plugin.evaluation.resampling import Interval, mean_intervals, paired_p
from ovsam_plugin.evaluation.results import Evaluated


@dataclass(frozen=True)
class Difference:
    """One figure of both runs.

    Attributes:
        figure: "IoU", "Acc", or one of `average_precision.LVIS_KEYS`.
        first, second: 0..1.
        interval: of second less first, the same photographs drawn for both.
        p: of the paired test; None where there is none, as of average precision, which is no mean.
    """

    figure: str
    first: float
    second: float
    interval: Interval
    p: float | None


@dataclass(frozen=True)
class PairedComparison:
    """All figures of two runs, by the runs' names."""

    first: str
    second: str
    differences: tuple[Difference, ...]


def differences(first: Outcomes, second: Outcomes, *, named: bool = True) -> list[Difference]:
    """Of mask IoU, and of accuracy where both give names.

    Args:
        first, second: of the same instances in the same order.
        named: whether both give names.

    Raises:
        ValueError: they are of other instances.
    """
    if not _same_instances(first, second):
        raise ValueError(
            "two runs can only be compared on the same instances, and these were judged on "
            "different ones"
        )
    pairs = {"IoU": (first.iou, second.iou)}
    if named:
        pairs["Acc"] = (first.right.astype(np.float64), second.right.astype(np.float64))
    off = np.stack([b - a for a, b in pairs.values()], axis=1)
    intervals = mean_intervals(off, first.image)
    return [
        Difference(
            figure,
            float(a.mean()) if len(a) else float("nan"),
            float(b.mean()) if len(b) else float("nan"),
            interval,
            paired_p(b - a, first.image),
        )
        for (figure, (a, b)), interval in zip(pairs.items(), intervals)
    ]


def comparisons(
    evaluated: Evaluated, precisions: Mapping[int, MaskPrecision]
) -> tuple[PairedComparison, ...]:
    """Every method beside the first.

    Args:
        evaluated: of one method or more.
        precisions: by a method's place, of those that give names.
    """
    made = []
    first, *others = evaluated.methods
    for number, other in enumerate(others, start=1):
        named = first.named and other.named
        rows = differences(first.outcomes, other.outcomes, named=named)
        if 0 in precisions and number in precisions:
            one, two = precisions[0], precisions[number]
            bounds = one.differences(two)
            here, there = one.figures, two.figures
            rows += [Difference(k, here[k], there[k], bounds[k], None) for k in bounds]
        made.append(PairedComparison(first.name, other.name, tuple(rows)))
    return tuple(made)


def together(first: Evaluated, second: Evaluated) -> Evaluated:
    """Two evaluations of the same truth as one of two methods.

    Raises:
        ValueError: they are of other photographs or instances.
    """
    one, two = first.methods[0].outcomes, second.methods[0].outcomes
    if first.paths != second.paths or not _same_instances(one, two):
        more = [*first.problems, *second.problems]
        raise ValueError(
            f"{first.methods[0].name!r} and {second.methods[0].name!r} could not be judged on the "
            f"same instances{f': {more[0]}' if more else ''}; fix or leave out these photographs"
        )
    problems = tuple(dict.fromkeys((*first.problems, *second.problems)))
    notes = tuple(dict.fromkeys((*first.notes, *second.notes)))
    methods = (*first.methods, *second.methods)
    return replace(first, methods=methods, problems=problems, notes=notes)


def _same_instances(first: Outcomes, second: Outcomes) -> bool:
    return np.array_equal(first.truth, second.truth) and np.array_equal(first.image, second.image)
