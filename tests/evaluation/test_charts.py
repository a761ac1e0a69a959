"""Plots as PNG pictures."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from ovsam_plugin.evaluation.charts import (
    classes_chart,
    confusions_chart,
    groups_chart,
    reliability_chart,
)
from ovsam_plugin.evaluation.metrics import Confusion, Reliability, Row

NAN = float("nan")


def reliability(*accuracy: float) -> Reliability:
    bins = len(accuracy)
    return Reliability(
        edges=np.linspace(0, 1, bins + 1),
        counts=np.arange(bins),
        confidence=np.full(bins, 0.5),
        accuracy=np.array(accuracy),
        error=0.125,
    )


def rows(*accuracies: float, name: str = "class") -> list[Row]:
    return [Row(f"{name} {i}", i + 1, 0.5, a) for i, a in enumerate(accuracies)]


def pixels(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB")).astype(int)


CHARTS: dict[str, tuple[Callable[[], bytes], Callable[[], bytes]]] = {
    "reliability": (
        lambda: reliability_chart(reliability(0.1, NAN, 0.9)),
        lambda: reliability_chart(reliability(0.9, NAN, 0.1)),
    ),
    "groups": (lambda: groups_chart(rows(0.2, NAN)), lambda: groups_chart(rows(0.9, NAN))),
    "groups without names": (
        lambda: groups_chart(rows(0.2), named=False),
        lambda: groups_chart(rows(0.2)),
    ),
    "classes": (lambda: classes_chart(rows(0.2, 0.4)), lambda: classes_chart(rows(0.4, 0.2))),
    "confusions": (
        lambda: confusions_chart([Confusion("cat", "dog", 5)]),
        lambda: confusions_chart([Confusion("cat", "fox", 5)]),
    ),
}


@pytest.mark.parametrize("name", CHARTS)
def test_the_same_figures_give_the_same_bytes_and_others_another_picture(name: str) -> None:
    draw, draw_other = CHARTS[name]
    png = draw()
    assert png == draw()
    other = pixels(draw_other())
    assert pixels(png).shape != other.shape or (pixels(png) != other).any()


def test_a_bar_is_as_long_as_its_figure() -> None:
    blue = [59, 111, 212]
    short, long = (
        (np.abs(pixels(classes_chart(rows(share))) - blue).sum(2) < 20).any(0).sum()
        for share in (0.25, 0.75)
    )
    assert long == pytest.approx(3 * short, rel=0.1)


def test_long_names_are_cut_and_many_rows_make_a_higher_picture() -> None:
    few, many = (pixels(classes_chart(rows(*[0.5] * n))) for n in (2, 12))
    assert many.shape[0] > few.shape[0] + 200
    lengthy = rows(0.5, name="a name that goes on and on and on and on")
    assert pixels(classes_chart(lengthy)).shape[1] == few.shape[1]
