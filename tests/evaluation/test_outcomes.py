from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ovsam_plugin.evaluation.mask_iou import MaskCrop, mask_iou
from ovsam_plugin.evaluation.outcomes import outcomes

Rectangle = tuple[int, int, int, int]


def crop(x1: int, y1: int, x2: int, y2: int) -> MaskCrop:
    mask = np.zeros((60, 80), dtype=bool)
    mask[y1:y2, x1:x2] = True
    return MaskCrop.at(mask)


THING = crop(10, 10, 30, 30)
FAR = crop(50, 40, 70, 55)


def test_an_answer_that_fits_a_truth_is_its_thing_and_the_next_a_double() -> None:
    good, again = crop(10, 10, 30, 28), crop(10, 12, 30, 30)
    found, whose = outcomes([good, FAR, again], [FAR, THING])
    assert found == ["thing", "thing", "double"]
    assert whose.tolist() == [1, 0, -1]
    assert whose.dtype == np.int64


def test_the_surest_answer_is_the_thing_though_a_later_one_fits_better() -> None:
    assert outcomes([crop(10, 10, 30, 24), THING], [THING])[0] == ["thing", "double"]


def test_an_answer_that_fits_two_truths_takes_the_better_one_that_is_free() -> None:
    """Two truths that overlap, and answers that are both."""
    near, other = crop(0, 0, 20, 10), crop(4, 0, 24, 10)
    answer = crop(3, 0, 23, 10)
    assert outcomes([answer], [near, other])[1].tolist() == [1]
    found, whose = outcomes([other, answer, answer], [near, other])
    assert found == ["thing", "thing", "double"]
    assert whose.tolist() == [1, 0, -1]


def test_what_lies_on_one_truth_and_does_not_match_it_is_a_part() -> None:
    inside, mostly, half = crop(12, 12, 20, 20), crop(10, 10, 20, 12), crop(0, 10, 20, 14)
    assert outcomes([inside, mostly, half], [THING])[0] == ["part", "part", "background"]
    # Of 13 columns 10 lie on it: more than three quarters; of 14 fewer.
    assert outcomes([crop(17, 12, 30, 20)], [crop(20, 10, 40, 30)])[0] == ["part"]
    assert outcomes([crop(16, 12, 30, 20)], [crop(20, 10, 40, 30)])[0] == ["background"]


def test_what_lies_on_two_truths_together_is_a_part_of_neither() -> None:
    left, right = crop(0, 0, 20, 20), crop(20, 0, 40, 20)
    assert outcomes([crop(14, 4, 26, 10)], [left, right])[0] == ["background"]


def test_answers_on_a_crowd_do_not_count_unless_they_are_a_things() -> None:
    crowd = crop(40, 30, 80, 60)
    on, off = crop(42, 32, 50, 36), crop(30, 30, 42, 40)
    found, whose = outcomes([FAR, on, off], [FAR], [crowd])
    assert found == ["thing", "crowd", "background"]
    assert whose.tolist() == [0, -1, -1]


def test_the_iou_that_counts_can_be_asked_for() -> None:
    answer = crop(10, 10, 30, 24)  # an IoU of 0.7
    assert outcomes([answer], [THING], min_iou=0.7)[0] == ["thing"]
    assert outcomes([answer], [THING], min_iou=0.75)[0] == ["part"]


def test_empty_masks_are_background_and_nothing_is_divided_by_nothing() -> None:
    empty = crop(0, 0, 0, 0)
    with np.errstate(all="raise"):
        assert outcomes([empty, THING], [THING])[0] == ["background", "thing"]
        assert outcomes([empty], [empty], [THING])[0] == ["background"]
    found, whose = outcomes([], [THING])
    assert found == []
    assert whose.shape == (0,)
    assert outcomes([THING], [])[0] == ["background"]


spans = st.tuples(st.integers(0, 12), st.integers(0, 12)).map(sorted)
crops = st.tuples(spans, spans).map(lambda s: crop(s[0][0], s[1][0], s[0][1], s[1][1]))


@settings(max_examples=100, deadline=None)
@given(st.lists(crops, max_size=6), st.lists(crops, max_size=4), st.lists(crops, max_size=2))
def test_every_truth_has_one_answer_at_most_and_that_fits_it(
    answers: list[MaskCrop], truths: list[MaskCrop], crowds: list[MaskCrop]
) -> None:
    found, whose = outcomes(answers, truths, crowds)
    taken = whose[whose >= 0].tolist()
    assert len(set(taken)) == len(taken)
    assert [kind == "thing" for kind in found] == (whose >= 0).tolist()
    for answer, kind, truth in zip(answers, found, whose.tolist()):
        if truth >= 0:
            assert mask_iou(answer, truths[truth]) >= 0.5
        ious = [mask_iou(answer, t) for t in truths]
        assert (kind in ("thing", "double")) == (max(ious, default=0) >= 0.5)
