"""Two runs on the same instances."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ovsam_plugin.evaluation.comparing import differences, together
from ovsam_plugin.vocabulary.sources import load_vocabulary
from tests.evaluation.conftest import Annotate, Painter
from tests.evaluation.test_metrics import outcomes
from tests.evaluation.test_run import evaluate


def test_what_differs_is_told_with_its_sign_and_chance() -> None:
    """40 photographs of two instances: the second run is right once more on each, masks alike."""
    image = np.repeat(np.arange(40), 2)
    truth = [0] * 80
    first = replace(outcomes(truth, [0, 1] * 40, iou=[0.5, 0.7] * 40), image=image)
    second = replace(outcomes(truth, truth, iou=[0.7, 0.5] * 40), image=image)
    iou, accuracy = differences(first, second)
    assert (iou.figure, iou.first, iou.second) == ("IoU", pytest.approx(0.6), pytest.approx(0.6))
    assert iou.interval == (pytest.approx(0, abs=1e-12), pytest.approx(0, abs=1e-12))
    assert iou.p == 1
    assert (accuracy.first, accuracy.second) == (0.5, 1)
    assert accuracy.interval == (0.5, 0.5)
    assert accuracy.p is not None
    assert accuracy.p < 0.01
    (alone,) = differences(first, second, named=False)
    assert alone.figure == "IoU"


def test_runs_of_other_instances_are_not_compared() -> None:
    with pytest.raises(ValueError, match="on the same instances"):
        differences(outcomes([0, 1], [0, 1]), outcomes([0, 0], [0, 1]))
    with pytest.raises(ValueError, match="on the same instances"):
        differences(outcomes([0, 1], [0, 1]), outcomes([0], [0]))


def test_two_evaluations_become_one(images: list[Path], annotate: Annotate) -> None:
    names = load_vocabulary("cat, cup, person")
    one, two = (evaluate(annotate(), images, method=Painter(names, n)) for n in ("cat", "cup"))
    both = together(one, replace(two, problems=("cup.png: broken",)))
    assert [len(method.outcomes) for method in both.methods] == [6, 6]
    assert both.problems == (*one.problems, "cup.png: broken")
    with pytest.raises(ValueError, match="cup.png: broken; fix or leave out"):
        together(one, replace(two, paths=two.paths[:2], problems=("cup.png: broken",)))
