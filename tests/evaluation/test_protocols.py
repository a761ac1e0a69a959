"""Prompts of the truth, and pairs."""

from __future__ import annotations

from pathlib import Path

import pytest

from ovsam_plugin.prediction.prompts import Points
from tests.evaluation.conftest import NAMES, Annotate, Painter, evaluate


def test_boxes_that_are_filled_fit_rectangles(images: list[Path], annotate: Annotate) -> None:
    (result,) = evaluate(annotate(), images).methods
    assert result.outcomes.iou.tolist() == [1.0] * 6
    assert result.outcomes.right.tolist() == [True, False, False, False, False, True]
    assert result.outcomes.image.tolist() == [0, 0, 1, 1, 2, 2]
    assert result.outcomes.area.tolist()[:2] == [300 * 220, 40 * 30]
    assert result.seconds == 0.25
    assert (result.cost.parameters, result.cost.multiply_adds) == (7, 110)


def test_a_centre_point_lies_deepest_inside_the_mask(
    images: list[Path], annotate: Annotate
) -> None:
    method = Painter(NAMES, "cat")
    (result,) = evaluate(annotate(), images, "center-point", method=method).methods
    points = [prompt for prompt in method.asked if isinstance(prompt, Points)]
    assert len(points) == 6
    x, y = points[0].xy[0]
    assert min(y - 40, 260 - y, x - 60, 360 - x) == 109.5  # half of 220, at a pixel's centre
    assert result.outcomes.iou[0] == pytest.approx(40 * 40 / (300 * 220))
