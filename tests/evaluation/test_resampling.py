"""Intervals and paired tests, beside what is known of hand-made figures."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ovsam_plugin.evaluation.resampling import mean_intervals, paired_p


def test_of_one_instance_a_photograph_the_interval_is_that_of_a_share() -> None:
    """400 of which half are right: 1.96 standard errors of 0.025 on each side."""
    right = np.tile([0.0, 1.0], 200)[:, None]
    (found,) = mean_intervals(right, np.arange(400))
    assert found.low == pytest.approx(0.451, abs=0.006)
    assert found.high == pytest.approx(0.549, abs=0.006)
    assert mean_intervals(right, np.arange(400)) == [found]  # the same drawing each time


def test_photographs_are_drawn_whole() -> None:
    """The same 400, but all ten of a photograph alike: as wide as of 40."""
    right = np.repeat(np.tile([0.0, 1.0], 20), 10)[:, None]
    (found,) = mean_intervals(right, np.repeat(np.arange(40), 10))
    assert found.high - found.low == pytest.approx(2 * 1.96 * 0.5 / math.sqrt(40), rel=0.12)


def test_a_photograph_weighs_as_much_as_it_has_instances() -> None:
    """Two photographs, of one and of nine: the draws are 0, 0.9 and 1 in means of instances."""
    right = np.array([0.0] + [1.0] * 9)[:, None]
    (found,) = mean_intervals(right, np.array([0] + [1] * 9))
    assert (found.low, found.high) == (0, 1)
    both = np.array([[0.5, 1.0]] * 3)
    assert mean_intervals(both, np.array([7, 7, 7])) == [(0.5, 0.5), (1.0, 1.0)]


def test_of_nothing_there_is_no_interval_and_no_difference() -> None:
    (found,) = mean_intervals(np.zeros((0, 1)), np.zeros(0, np.int64))
    assert math.isnan(found.low)
    assert paired_p(np.zeros(0), np.zeros(0, np.int64)) == 1


@pytest.mark.parametrize(
    ("off", "image", "p"),
    [
        ([0.0] * 8, range(8), 1.0),  # the same run twice
        ([1.0] * 3, [0, 0, 0], 1.0),  # one photograph: either sign is as far
        ([1.0, -1.0] * 4, range(8), 1.0),  # as often better as worse
        ([1.0] * 4, range(4), 2 / 16),  # all four signs alike: 2 of 16
        ([0.1] * 30, range(30), 1 / 1001),
    ],
)
def test_a_difference_is_chance_where_signs_drawn_anew_go_as_far(
    off: list[float], image: list[int], p: float
) -> None:
    found = paired_p(np.array(off), np.array(image))
    assert found == pytest.approx(p, abs=0.03)
    assert paired_p(-np.array(off), np.array(image)) == found
