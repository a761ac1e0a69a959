"""An evaluation's figures, and how tables and files write them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ovsam_plugin.evaluation.average_precision import average_precision
from ovsam_plugin.evaluation.metrics import Row, by_frequency, by_size, by_split, reliability
from ovsam_plugin.evaluation.results import COST_PROMPTS, Evaluated, MethodResult


@dataclass(frozen=True)
class Figures:
    """One method's.

    Attributes:
        name: the method's.
        named: whether it gives names; accuracies mean nothing otherwise.
        splits: rows "all", "base", "novel".
        frequencies, sizes: rows, where there are any.
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


def figures(evaluated: Evaluated) -> list[Figures]:
    """Of every method."""
    return [_figures(evaluated, method) for method in evaluated.methods]


def _figures(evaluated: Evaluated, method: MethodResult) -> Figures:
    outcomes, vocabulary = method.outcomes, evaluated.vocabulary

    def precision(rows: list[dict[str, Any]]) -> dict[str, float]:
        return average_precision(evaluated.truth, rows, federated=evaluated.federated)

    return Figures(
        name=method.name,
        named=method.named,
        splits=by_split(outcomes, vocabulary),
        frequencies=by_frequency(outcomes, vocabulary),
        sizes=by_size(outcomes),
        ap=precision(method.rows) if method.named else {},
        detector_ap=precision(method.detector_rows) if method.detector_rows else {},
        calibration_error=reliability(outcomes).error,
        surplus=method.surplus,
        parameters=None if method.cost is None else method.cost.parameters,
        multiply_adds=None if method.cost is None else method.cost.multiply_adds,
        seconds=method.seconds,
    )


def tables(found: Sequence[Figures]) -> list[TextTable]:
    """The paper's table, then those of frequency, size and average precision that apply."""
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
    return made


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


def to_json(evaluated: Evaluated, found: Sequence[Figures]) -> dict[str, Any]:
    """All figures as JSON holds them, shares as 0..1 and what is not there as null."""
    content = {
        "protocol": evaluated.protocol,
        "asked": dict(evaluated.asked),
        "vocabulary": evaluated.vocabulary.name,
        "classes": len(evaluated.vocabulary),
        "images": len(evaluated.paths),
        "methods": [asdict(one) for one in found],
        "problems": list(evaluated.problems),
    }
    cleaned = _without_nan(content)
    assert isinstance(cleaned, dict)
    return cleaned


def _without_nan(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
