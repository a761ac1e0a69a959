"""Figures over instances, against figures worked out by hand and by brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsam_plugin.evaluation.metrics import (
    Confusion,
    Outcomes,
    by_class,
    by_frequency,
    by_size,
    by_split,
    confusions,
    outside,
    reliability,
    worst_classes,
    worst_images,
)
from ovsam_plugin.vocabulary.vocabulary import Category, Vocabulary

VOCABULARY = Vocabulary(
    "four",
    (
        Category("cat", split="base", frequency="f"),
        Category("cup", split="novel", frequency="r"),
        Category("person", split="base", frequency="c"),
        Category("spoon"),
    ),
)


def outcomes(
    truth: list[int],
    answer: list[int],
    iou: list[float] | None = None,
    confidence: list[float] | None = None,
    area: list[int] | None = None,
    image: list[int] | None = None,
) -> Outcomes:
    n = len(truth)
    return Outcomes(
        truth=np.array(truth, dtype=np.int64),
        answer=np.array(answer, dtype=np.int64),
        iou=np.array(iou or [1.0] * n),
        confidence=np.array(confidence or [0.5] * n),
        area=np.array(area or [100] * n, dtype=np.int64),
        image=np.array(image or range(n), dtype=np.int64),
    )


SOME = outcomes([0, 0, 0, 1, 1], [0, 2, 0, 1, 3], iou=[0.9, 0.5, 0.1, 0.8, 0.6])


def test_means_are_over_instances_and_not_over_classes() -> None:
    rows = by_split(SOME, VOCABULARY)
    assert rows["base"].iou == pytest.approx(0.5)
    assert rows["base"].accuracy == pytest.approx(2 / 3)
    assert (rows["novel"].iou, rows["novel"].accuracy) == (pytest.approx(0.7), 0.5)
    assert rows["all"].accuracy == pytest.approx(3 / 5)
    assert [rows[part].instances for part in ("all", "base", "novel")] == [5, 3, 2]


def test_frequencies_have_their_own_rows_where_there_are_any() -> None:
    rare, common, frequent = by_frequency(SOME, VOCABULARY)
    assert [row.instances for row in (rare, common, frequent)] == [2, 0, 3]
    assert math.isnan(common.iou)
    assert frequent.iou == pytest.approx(0.5)
    assert by_frequency(outcomes([0], [0]), Vocabulary("one", (Category("cat"),))) == []


def test_sizes_are_those_of_coco() -> None:
    rows = by_size(outcomes([0] * 4, [0, 1, 1, 0], area=[1023, 1024, 9215, 9216]))
    assert [(r.group, r.instances) for r in rows] == [("small", 1), ("medium", 2), ("large", 1)]
    assert [row.accuracy for row in rows] == [1, 0, 1]


def test_an_instance_without_an_answer_is_wrong_and_confuses_nothing() -> None:
    missed = outcomes([0, 0], [-1, 1], iou=[0.0, 0.5])
    assert by_split(missed, VOCABULARY)["all"].accuracy == 0
    assert confusions(missed, VOCABULARY) == [Confusion("cat", "cup", 1)]
    assert reliability(missed).counts.sum() == 1


def test_a_wrong_name_outside_the_vocabulary_is_wrong_and_shown() -> None:
    others = ("dog", "mouse")
    found = outcomes([0, 1, 0, 1, 0], [0, 1, outside(1), outside(1), -1], confidence=[0.9] * 5)
    assert reliability(found).counts.sum() == 4
    assert reliability(found).error == pytest.approx(0.4)
    assert confusions(found, VOCABULARY, others) == [
        Confusion("cat", "mouse", 1), Confusion("cup", "mouse", 1)
    ]  # fmt: skip


def test_the_most_frequent_confusions_come_first() -> None:
    found = confusions(outcomes([0, 0, 1, 1, 1], [1, 1, 0, 2, 1]), VOCABULARY, most=2)
    assert found == [Confusion("cat", "cup", 2), Confusion("cup", "cat", 1)]


def test_the_worst_classes_come_first_the_larger_of_equals_before() -> None:
    rows = worst_classes(outcomes([0, 0, 1, 2], [1, 1, 2, 2]), VOCABULARY)
    assert [row.group for row in rows] == ["cat", "cup", "person"]
    assert len(by_class(SOME, VOCABULARY)) == 2


def test_the_worst_images_are_those_with_bad_masks_or_wrong_names() -> None:
    found = outcomes([0] * 4, [0, 0, 1, 0], iou=[0.9, 0.7, 1.0, 0.2], image=[7, 7, 3, 5])
    assert worst_images(found) == [3, 5, 7]
    assert worst_images(found, most=1) == [3]


def test_nothing_at_all_has_no_figures() -> None:
    nothing = Outcomes.concatenate([])
    assert len(nothing) == 0
    assert math.isnan(by_split(nothing, VOCABULARY)["all"].iou)
    assert math.isnan(reliability(nothing).error)
    assert confusions(nothing, VOCABULARY) == []
    assert worst_images(nothing) == []
    assert len(Outcomes.concatenate([SOME, nothing, SOME])) == 10


ANSWERS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40)


@given(ANSWERS, st.integers(1, 20))
def test_calibration_error_is_the_mean_gap_of_the_bins(
    answers: list[tuple[float, bool]], bins: int
) -> None:
    truth, answer = [0] * len(answers), [0 if right else 1 for _, right in answers]
    confidence = [value for value, _ in answers]
    found = reliability(outcomes(truth, answer, confidence=[*confidence]), bins)
    gap = 0.0
    for low, high in zip(found.edges[:-1], found.edges[1:]):
        inside = [a for a in answers if low < a[0] <= high or (low == 0 and a[0] == 0)]
        if inside:
            mean = [sum(column) / len(inside) for column in zip(*inside)]
            gap += len(inside) * abs(mean[0] - mean[1])
    assert found.error == pytest.approx(gap / len(answers), abs=1e-9)
    assert found.counts.sum() == len(answers)


def test_answers_as_sure_as_they_are_right_are_calibrated() -> None:
    found = reliability(outcomes([0] * 10, [0] * 7 + [1] * 3, confidence=[0.7] * 10))
    assert found.error == pytest.approx(0)


@pytest.mark.parametrize("bins", [2, 5, 10])
def test_a_confidence_on_an_edge_counts_in_the_bin_below(bins: int) -> None:
    """Each bin is open below and closed above; the first is closed on both sides."""
    edges = np.linspace(0, 1, bins + 1)
    found = reliability(outcomes([0] * (bins + 1), [0] * (bins + 1), confidence=[*edges]), bins)
    assert found.counts.tolist() == [2] + [1] * (bins - 1)
    np.testing.assert_allclose(found.confidence[1:], edges[2:])
    for edge, place in zip(edges[1:-1], range(bins)):
        above = float(np.nextafter(edge, 1))
        counts = reliability(outcomes([0] * 2, [0] * 2, confidence=[edge, above]), bins).counts
        assert np.flatnonzero(counts).tolist() == [place, place + 1]
