"""Two runs over the same instances, held side by side."""

from __future__ import annotations

import fiftyone as fo
import pytest

from ovsam_plugin.curation.comparison import Change, compare_runs, named_differently
from tests.curation.run_by_hand import add_relabelled, add_run


@pytest.fixture
def two(dataset: fo.Dataset) -> fo.Dataset:
    """A run and its relabelling, in which two cats are lynxes and one label has gone."""
    add_run(dataset)
    add_relabelled(dataset, "ovsam", "second", {"cup": "mug"})
    sample = dataset.first()
    for label in sample["second"].detections:
        label.label = "lynx"
    sample.save()
    sample = dataset.last()
    sample["second"].detections = sample["second"].detections[1:]
    sample.save()
    return dataset


def test_names_are_compared_instance_by_instance(two: fo.Dataset) -> None:
    found = compare_runs(two, "ovsam", "second")
    assert (found.same, found.different) == (2, 3)
    assert (found.only_first, found.only_second) == (1, 0)
    assert found.changes == (Change("cat", "lynx", 2), Change("cup", "mug", 1))
    assert compare_runs(two.skip(1), "second", "ovsam").changes == (Change("mug", "cup", 1),)


def test_the_view_shows_the_changed_instances_and_stays_true_when_saved(two: fo.Dataset) -> None:
    two.save_view("changed", named_differently(two, "ovsam", "second"))
    view = two.load_saved_view("changed")
    assert view.values("second.detections.label") == [["lynx", "lynx"], ["mug"]]
    assert len(view.to_patches("second")) == 3
    two.set_values("ovsam.detections.label", [["lynx", "lynx"], ["cup", "cat"], ["otter", None]])
    assert two.load_saved_view("changed").values("second.detections.label") == [["mug"]]


def test_a_name_that_was_lost_is_a_change(two: fo.Dataset) -> None:
    two.set_values("second.detections.label", [["cat", None], ["cup", "cat"], [None]])
    assert compare_runs(two, "ovsam", "second").changes == (Change("cat", None, 1),)
    view = named_differently(two, "ovsam", "second")
    assert view.values("second.detections.label") == [[None]]


def test_runs_over_other_instances_cannot_be_compared(two: fo.Dataset) -> None:
    add_run(two, "again")
    with pytest.raises(ValueError, match="no label is in both 'ovsam' and 'again'"):
        compare_runs(two, "ovsam", "again")
    with pytest.raises(ValueError, match="'ovsam' cannot be compared with itself"):
        compare_runs(two, "ovsam", "ovsam")
    with pytest.raises(ValueError, match="there is no field 'secnd'.*'second'"):
        named_differently(two, "ovsam", "secnd")
