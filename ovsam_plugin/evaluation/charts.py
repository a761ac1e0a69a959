"""Plots of an evaluation as PNG pictures, by matplotlib, which FiftyOne brings."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from ovsam_plugin.evaluation.metrics import Confusion, Reliability, Row

_INK, _FAINT, _FILL, _SECOND = "#20242c", "#c9ced8", "#3b6fd4", "#e08a3c"


def reliability_chart(found: Reliability) -> bytes:
    """Accuracy over confidence, bin by bin, and how many answers each bin has."""
    figure, (above, below) = _figure(5.2, 5.2, rows=2, ratios=(3, 1))
    centres, width = (found.edges[:-1] + found.edges[1:]) / 2, found.edges[1] - found.edges[0]
    above.plot([0, 1], [0, 1], color=_FAINT, linewidth=1)
    above.bar(centres, np.nan_to_num(found.accuracy), width * 0.9, color=_FILL)
    above.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    above.set_title(f"expected calibration error {100 * found.error:.1f} %", fontsize=10)
    below.bar(centres, found.counts, width * 0.9, color=_FAINT)
    below.set(xlabel="confidence", ylabel="answers", xlim=(0, 1))
    return _png(figure)


def groups_chart(rows: Sequence[Row], named: bool = True) -> bytes:
    """IoU and accuracy of groups side by side."""
    figure, axes = _figure(5.2, 3.0)
    places = np.arange(len(rows))
    iou = np.nan_to_num([row.iou for row in rows])
    axes.bar(places - 0.2, iou, 0.38, color=_FILL, label="IoU")
    if named:
        accuracy = np.nan_to_num([row.accuracy for row in rows])
        axes.bar(places + 0.2, accuracy, 0.38, color=_SECOND, label="accuracy")
    axes.set(ylim=(0, 1))
    axes.set_xticks(places, [f"{row.group}\n{row.instances:,}" for row in rows])
    figure.legend(frameon=False, fontsize=9, loc="outside upper right", ncols=2)
    return _png(figure)


def classes_chart(rows: Sequence[Row]) -> bytes:
    """Accuracy of classes, the worst on top."""
    figure, axes = _figure(5.2, 0.6 + 0.24 * len(rows))
    places = np.arange(len(rows))[::-1]
    axes.barh(places, [row.accuracy for row in rows], color=_FILL)
    axes.set_yticks(places, [f"{_short(row.group)} ({row.instances:,})" for row in rows])
    axes.set(xlim=(0, 1), xlabel="accuracy")
    return _png(figure)


def confusions_chart(found: Sequence[Confusion]) -> bytes:
    """Wrong answers by how often they were given, the most frequent on top."""
    figure, axes = _figure(5.2, 0.6 + 0.24 * len(found))
    places = np.arange(len(found))[::-1]
    axes.barh(places, [pair.count for pair in found], color=_SECOND)
    axes.set_yticks(places, [f"{_short(p.truth)} → {_short(p.answer)}" for p in found])
    axes.set(xlabel="instances")
    axes.xaxis.get_major_locator().set_params(integer=True)
    return _png(figure)


def _figure(
    width: float, height: float, rows: int = 1, ratios: Sequence[int] | None = None
) -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # no pyplot: it would choose a window's backend

    figure = Figure(figsize=(width, height), layout="constrained", dpi=120)
    axes = figure.subplots(rows, 1, height_ratios=ratios)
    for one in np.ravel(axes):
        one.spines[["top", "right"]].set_visible(False)
        one.spines[["left", "bottom"]].set_color(_FAINT)
        one.tick_params(colors=_INK, labelsize=9)
    return figure, axes


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    # Without a date or a version, the same figures give the same bytes.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _short(name: str) -> str:
    return name if len(name) <= 28 else f"{name[:27]}…"
