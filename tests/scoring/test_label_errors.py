from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovsam_plugin.scoring.label_errors import Matched, likely_mistakes, mistake_scores

PAIR = st.tuples(
    st.sampled_from(["cat", "dog"]),
    st.sampled_from(["cat", "dog", None]),
    *(st.floats(0, 1) for _ in range(3)),
)


def pairs(*rows: tuple[str, str | None, float, float, float]) -> Matched:
    """(truth, predicted, IoU, confidence, probability of the truth) a pair."""
    truth, predicted, *numbers = zip(*rows)
    return Matched(truth, predicted, *(np.array(column) for column in numbers))


GIVEN = pairs(
    ("cat", "dog", 0.9, 0.6, 0.4),  # wavers between the two
    ("cat", "dog", 0.9, 0.95, 0.01),  # disagrees for certain
    ("cat", "cat", 0.9, 0.95, 0.95),  # agrees
    ("cat", "dog", 0.3, 0.95, 0.0),  # looks at something else
    ("cat", None, 0.9, 0.0, 0.0),  # has no name
    ("cat", "dog", 0.9, 0.7, 0.0),  # disagrees
    ("cat", "dog", 0.9, float("nan"), 0.0),  # misses a number
)


def test_a_mistake_scores_by_how_much_surer_the_model_is_of_its_own_name() -> None:
    assert np.allclose(mistake_scores(GIVEN), [0.2, 0.94, 0, 0, 0, 0.7, 0])


def test_the_likeliest_mistake_comes_first_and_what_agrees_not_at_all() -> None:
    assert likely_mistakes(GIVEN).tolist() == [1, 5, 0]
    assert likely_mistakes(GIVEN, min_score=0.5).tolist() == [1, 5]


def test_how_much_a_pair_must_overlap_can_be_chosen() -> None:
    assert likely_mistakes(GIVEN, min_iou=0.2).tolist() == [3, 1, 5, 0]


def test_equal_scores_keep_their_order() -> None:
    same = pairs(*[("cat", "dog", 1.0, 0.5, 0.25)] * 4)
    assert likely_mistakes(same).tolist() == [0, 1, 2, 3]


@given(rows=st.lists(PAIR, min_size=1, max_size=12))
@settings(deadline=None)  # busy machines
def test_scores_lie_within_0_and_1_and_only_differing_names_have_any(
    rows: list[tuple[str, str | None, float, float, float]],
) -> None:
    scores = mistake_scores(pairs(*rows))
    assert ((scores >= 0) & (scores <= 1)).all()
    for score, (truth, predicted, iou, confidence, truth_score) in zip(scores, rows):
        told = predicted not in (None, truth) and iou >= 0.5 and confidence > truth_score
        assert (score > 0) == told


@given(row=PAIR, less=st.floats(0, 1))
@settings(deadline=None)  # busy machines
def test_a_surer_truth_never_scores_higher(
    row: tuple[str, str | None, float, float, float], less: float
) -> None:
    lower = (*row[:4], row[4] * less)
    assert mistake_scores(pairs(lower))[0] >= mistake_scores(pairs(row))[0]


def test_columns_of_different_lengths_are_refused() -> None:
    one = np.zeros(1)
    with pytest.raises(ValueError, match="truth 2, predicted 1"):
        Matched(["cat", "cat"], ["dog"], one, one, one)


def test_an_overlap_outside_0_to_1_is_refused() -> None:
    with pytest.raises(ValueError, match="allowed is 0 to 1"):
        mistake_scores(GIVEN, min_iou=50)


def test_no_pairs_have_no_mistakes() -> None:
    none = np.zeros(0)
    assert not len(likely_mistakes(Matched([], [], none, none, none)))
