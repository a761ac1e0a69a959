"""Counts of a labelling."""

from __future__ import annotations

from ovsam_plugin.dataset.label_tally import LabelTally


def test_a_sample_that_failed_counts_as_labelled_and_keeps_its_reason() -> None:
    tally = LabelTally()
    tally.count("1", "/photographs/a.jpg", 3, None)
    tally.count("2", "/photographs/b.jpg", 0, "not an image")
    assert (tally.labelled, tally.failed, tally.instances) == (2, 1, 3)
    assert tally.reasons == ["b.jpg: not an image"]


def test_what_was_counted_since_adds_up_to_the_whole() -> None:
    tally, told = LabelTally(), LabelTally()
    for number in range(25):
        tally.count(str(number), f"{number}.jpg", 2, "cut" if number % 2 else None)
        if number % 4 == 0:
            told.add(tally.since(told))
    assert told == tally
    assert told.failed_ids == [str(number) for number in range(1, 25, 2)]


def test_only_the_first_reasons_are_kept_also_of_several_workers() -> None:
    one, other = LabelTally(), LabelTally()
    for number in range(7):
        one.count("1", f"{number}.jpg", 0, "one")
        other.count("1", f"{number}.jpg", 0, "other")
    one.add(other)
    assert (one.labelled, one.failed) == (14, 14)
    assert len(one.reasons) == 10
    assert one.reasons[-1] == "2.jpg: other"
    for number in range(9):
        one.count("1", f"{number}.jpg", 0, "more")
    assert len(one.reasons) == 10
    assert one.failed == 23
