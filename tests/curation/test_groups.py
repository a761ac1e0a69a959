"""The groups among unknown instances."""

from __future__ import annotations

import fiftyone as fo
import pytest

from ovsam_plugin.curation.decisions import reject, rename
from ovsam_plugin.curation.groups import Group, forget_names, keep_names, unknown_groups
from tests.curation.run_by_hand import add_run

FIELD = "ovsam"


@pytest.fixture
def run(dataset: fo.Dataset) -> fo.Dataset:
    """Group 1: a cat and a cup; group 2: an otter."""
    add_run(dataset)
    keep_names(dataset, FIELD, {1: ["mug", "vase"], 2: ["weasel"]})
    return dataset


def label_ids(dataset: fo.Dataset, group: int) -> list[str]:
    rows = zip(
        dataset.values(f"{FIELD}.detections.id", unwind=True),
        dataset.values(f"{FIELD}.detections.group", unwind=True),
    )
    return [label_id for label_id, number in rows if number == group]


def test_the_largest_group_comes_first_with_its_names_and_examples(run: fo.Dataset) -> None:
    first, second = unknown_groups(run, FIELD)
    assert (first.number, first.size, first.names) == (1, 2, ("mug", "vase"))
    # The most surely unknown first.
    assert [label for _, label in first.examples] == label_ids(run, 1)
    assert first.examples[0][0] == run.first().id
    assert (second.number, second.size, second.names) == (2, 1, ("weasel",))
    assert unknown_groups(run, FIELD, most=1) == [first]


def test_decided_instances_leave_their_group_and_an_empty_group_goes(run: fo.Dataset) -> None:
    cat, _ = label_ids(run, 1)
    rename(run, FIELD, cat, "tiger")
    assert [(g.number, g.size) for g in unknown_groups(run, FIELD)] == [(1, 1), (2, 1)]
    reject(run, FIELD, label_ids(run, 2))
    assert [(g.number, g.size) for g in unknown_groups(run, FIELD)] == [(1, 1)]


def test_of_a_view_what_it_shows_is_counted(run: fo.Dataset) -> None:
    assert [(g.number, g.size) for g in unknown_groups(run.limit(2), FIELD)] == [(1, 2)]
    assert [(g.number, g.size) for g in unknown_groups(run.skip(2), FIELD)] == [(2, 1)]


def test_names_are_replaced_and_forgotten_as_a_whole(run: fo.Dataset) -> None:
    keep_names(run, FIELD, {2: ["stoat"]})
    assert [group.names for group in unknown_groups(run, FIELD)] == [(), ("stoat",)]
    forget_names(run, FIELD)
    assert [group.names for group in unknown_groups(run, FIELD)] == [(), ()]


def test_a_run_that_was_never_scored_has_no_groups_and_another_field_is_refused(
    dataset: fo.Dataset,
) -> None:
    add_run(dataset, scored=False)
    assert unknown_groups(dataset, FIELD) == []
    with pytest.raises(ValueError, match="there is no field 'ovsm'.*'ovsam'"):
        unknown_groups(dataset, "ovsm")


def test_a_group_is_told_in_words() -> None:
    assert str(Group(3, 1, (), ())) == "3: 1 instance"
    assert str(Group(1, 1200, ("mug", "vase"), ())) == "1: 1,200 instances, like mug, vase"
