"""An evaluation's figures, and how tables and files write them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ovsam_plugin.evaluation.average_precision import (
    ERRORS,
    Error,
    MaskPrecision,
    average_precision,
)
from ovsam_plugin.evaluation.comparing import PairedComparison, comparisons
from ovsam_plugin.evaluation.metrics import (
    Outcomes,
    Row,
    by_frequency,
    by_size,
    by_split,
    reliability,
    row,
    split_intervals,
)
from ovsam_plugin.evaluation.resampling import NOWHERE, Interval
from ovsam_plugin.evaluation.results import COST_PROMPTS, Evaluated, MethodResult
from ovsam_plugin.markdown import Markdown, plain


@dataclass(frozen=True)
class Slice:
    """Some photographs: how many, the figures of their instances, and AP, NaN without names."""

    images: int
    row: Row
    ap: float


@dataclass(frozen=True)
class Figures:
    """One method's.

    Attributes:
        name: the method's.
        named: whether it gives names; accuracies mean nothing otherwise.
        splits: rows "all", "base", "novel".
        frequencies, sizes: rows, where there are any.
        slices: by a field of the samples, a row and an AP of each of its groups.
        intervals: 95 % bootstrap intervals over images, by "IoU", "Acc" and the keys of `ap`, and
            of the splits with "_b" and "_n" behind.
        errors: TIDE's kinds; empty without names.
        ap: by `average_precision`'s keys; empty without names.
        detector_ap: the same with the detector's classes and scores on the method's masks.
        calibration_error: 0..1.
        surplus: answers that matched no truth.
        parameters: learned numbers.
        multiply_adds: of an image with ten prompts.
        seconds: a mean image's.
    """

    name: str
    named: bool
    splits: dict[str, Row]
    frequencies: list[Row]
    sizes: list[Row]
    slices: dict[str, list[Slice]]
    intervals: dict[str, Interval]
    errors: list[Error]
    ap: dict[str, float]
    detector_ap: dict[str, float]
    calibration_error: float
    surplus: int
    parameters: int | None
    multiply_adds: int | None
    seconds: float


@dataclass(frozen=True)
class TextTable:
    """A table in words, for a terminal, Markdown or HTML."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def markdown(self) -> Markdown:
        """The table as Markdown, without its title; names are shown and never obeyed."""
        rule = [Markdown(mark) for mark in ("---", *["---:"] * (len(self.header) - 1))]
        lines = (self.header, rule, *self.rows)
        return Markdown("\n".join(f"| {' | '.join(map(plain, line))} |" for line in lines))


def figures(evaluated: Evaluated) -> list[Figures]:
    """Of every method."""
    return compared(evaluated)[0]


def compared(evaluated: Evaluated) -> tuple[list[Figures], tuple[PairedComparison, ...]]:
    """Of every method, and how each is beside the first."""
    precisions = {
        number: MaskPrecision(evaluated.truth, method.rows, federated=evaluated.federated)
        for number, method in enumerate(evaluated.methods)
        if method.named
    }
    found = [
        _figures(evaluated, method, precisions.get(number))
        for number, method in enumerate(evaluated.methods)
    ]
    return found, comparisons(evaluated, precisions)


def _figures(
    evaluated: Evaluated, method: MethodResult, precision: MaskPrecision | None
) -> Figures:
    outcomes, vocabulary = method.outcomes, evaluated.vocabulary
    detected = {}
    if method.detector_rows:
        rows, federated = method.detector_rows, evaluated.federated
        detected = average_precision(evaluated.truth, rows, federated=federated)
    return Figures(
        name=method.name,
        named=method.named,
        splits=by_split(outcomes, vocabulary),
        frequencies=by_frequency(outcomes, vocabulary),
        sizes=by_size(outcomes),
        slices={
            field: _slices(groups, outcomes, precision)
            for field, groups in evaluated.slices.items()
        },
        intervals=split_intervals(outcomes, vocabulary, named=method.named)
        | ({} if precision is None else precision.intervals()),
        errors=[] if precision is None else precision.errors,
        ap={} if precision is None else precision.figures,
        detector_ap=detected,
        calibration_error=reliability(outcomes).error,
        surplus=method.surplus,
        parameters=None if method.cost is None else method.cost.parameters,
        multiply_adds=None if method.cost is None else method.cost.multiply_adds,
        seconds=method.seconds,
    )


def _slices(
    groups: Mapping[str, Sequence[int]], outcomes: Outcomes, precision: MaskPrecision | None
) -> list[Slice]:
    ids = {name: [place + 1 for place in places] for name, places in groups.items()}
    aps = {} if precision is None else precision.of_images(ids)
    return [
        Slice(
            images=len(places),
            row=row(outcomes[np.isin(outcomes.image, places)], name),
            ap=aps[name]["AP"] if aps else math.nan,
        )
        for name, places in groups.items()
    ]


def tables(found: Sequence[Figures], compared: Sequence[PairedComparison] = ()) -> list[TextTable]:
    """The paper's table, then those of frequency, size, slices, average precision and its errors
    that apply, how far the figures hold, and what two runs differ by."""
    made = [_main_table(found)]
    if any(row.instances for one in found for row in one.frequencies):
        made.append(_groups_table("by frequency", found, [one.frequencies for one in found]))
    made.append(_groups_table("by size", found, [one.sizes for one in found]))
    precisions = [(one.name, one.ap) for one in found if one.ap]
    precisions += [
        (f"{one.name}, detector's names", one.detector_ap) for one in found if one.detector_ap
    ]
    if precisions:
        keys = tuple(precisions[0][1])
        rows = tuple((name, *(percent(ap[key]) for key in keys)) for name, ap in precisions)
        made.append(TextTable("mask average precision", ("method", *keys), rows))
    made += [_slices_table(field, found) for field in found[0].slices]
    if any(one.errors for one in found):
        made.append(_errors_table(found))
    made.append(_intervals_table(found))
    return [*made, *map(_differences_table, compared)]


def _slices_table(field: str, found: Sequence[Figures]) -> TextTable:
    rows = tuple(
        (
            f"{one.name}, {part.row.group}" if len(found) > 1 else part.row.group,
            f"{part.images:,}",
            f"{part.row.instances:,}",
            percent(part.row.iou),
            percent(part.row.accuracy) if one.named else "-",
            percent(part.ap),
        )
        for one in found
        for part in one.slices[field]
    )
    return TextTable(f"by {field}", ("group", "images", "instances", "IoU", "Acc", "AP"), rows)


def _errors_table(found: Sequence[Figures]) -> TextTable:
    named = [one for one in found if one.errors]
    rows = tuple(
        (one.name, *(f"{100 * error.cost:.1f} ({error.count:,})" for error in one.errors))
        for one in named
    )
    title = "what AP50 loses (TIDE), in points, and how many answers that is"
    return TextTable(title, ("method", *ERRORS.values()), rows)


def _intervals_table(found: Sequence[Figures]) -> TextTable:
    keys = list(dict.fromkeys(key for one in found for key in one.intervals))
    shown = [key for key in keys if key in ("AP", "AP50") or not key.startswith("AP")]
    rows = tuple(
        (one.name, *(_span(one.intervals.get(key, NOWHERE)) for key in shown)) for one in found
    )
    title = "95 % bootstrap intervals, with whole images resampled"
    return TextTable(title, ("method", *shown), rows)


def _differences_table(compared: PairedComparison) -> TextTable:
    rows = tuple(
        (
            one.figure,
            percent(one.first),
            percent(one.second),
            f"{100 * (one.second - one.first):+.1f}",
            _span(one.interval, signed=True),
            "-" if one.p is None else f"{one.p:.3f}",
        )
        for one in compared.differences
    )
    header = ("figure", compared.first, compared.second, "difference", "95 % interval", "p")
    return TextTable(f"{compared.second} beside {compared.first}", header, rows)


def _span(interval: Interval, *, signed: bool = False) -> str:
    if math.isnan(interval.low):
        return "-"
    low, high = (f"{100 * bound:{'+' if signed else ''}.1f}" for bound in interval)
    return f"{low} to {high}"


def _main_table(found: Sequence[Figures]) -> TextTable:
    split = any(one.splits[part].instances for one in found for part in ("base", "novel"))
    parts = {"base": "_b", "novel": "_n"} if split else {}
    header = ["method", *(f"IoU{mark}" for mark in parts.values())]
    header += ["IoU"] if not split else []
    header += [*(f"Acc{mark}" for mark in parts.values()), "Acc"]
    surplus = any(one.surplus for one in found)
    header += ["surplus"] if surplus else []
    rows = []
    for one in found:
        ious = [one.splits[part].iou for part in parts] or [one.splits["all"].iou]
        accuracies = [one.splits[part].accuracy for part in (*parts, "all")]
        rows.append((
            one.name,
            *map(percent, ious),
            *(percent(a) if one.named else "-" for a in accuracies),
            *([f"{one.surplus:,}"] if surplus else []),
            *_costs(one),
        ))  # fmt: skip
    title = f"{found[0].splits['all'].instances:,} instances"
    if found[0].multiply_adds is not None:
        title += f", costs of {COST_PROMPTS} prompts"
        header += ["GFLOPs", "M params", "s/image"]
    return TextTable(title, tuple(header), tuple(rows))


def _costs(one: Figures) -> tuple[str, ...]:
    if one.multiply_adds is None or one.parameters is None:
        return ()
    giga, million = one.multiply_adds / 1e9, one.parameters / 1e6
    return f"{giga:,.0f}", f"{million:,.1f}", f"{one.seconds:.2f}"


def _groups_table(
    title: str, found: Sequence[Figures], groups: Sequence[Sequence[Row]]
) -> TextTable:
    names = [row.group for row in groups[0]]
    header = ("method", *(f"{what} {name}" for what in ("IoU", "Acc") for name in names))
    rows = tuple(
        (
            one.name,
            *(percent(row.iou) for row in rows),
            *(percent(row.accuracy) if one.named else "-" for row in rows),
        )
        for one, rows in zip(found, groups)
    )
    counts = ", ".join(f"{row.instances:,} {row.group}" for row in groups[0])
    return TextTable(f"{title} ({counts})", header, rows)


def percent(value: float) -> str:
    """A share as the paper writes it, "81.5"; a dash for none."""
    return "-" if math.isnan(value) else f"{100 * value:.1f}"


def to_json(
    evaluated: Evaluated, found: Sequence[Figures], compared: Sequence[PairedComparison] = ()
) -> dict[str, Any]:
    """All figures as JSON holds them, shares as 0..1 and what is not there as null."""
    content = {
        "protocol": evaluated.protocol,
        "asked": dict(evaluated.asked),
        "vocabulary": evaluated.vocabulary.name,
        "classes": len(evaluated.vocabulary),
        "images": len(evaluated.paths),
        "methods": [asdict(one) for one in found],
        "compared": [asdict(one) for one in compared],
        "problems": list(evaluated.problems),
        "notes": list(evaluated.notes),
    }
    cleaned = _without_nan(content)
    assert isinstance(cleaned, dict)
    return cleaned


def _without_nan(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
