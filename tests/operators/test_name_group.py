"""The operator `name_group`, through FiftyOne's own executor."""

from __future__ import annotations

import fiftyone as fo
import pytest
from fiftyone.operators.executor import ExecutionError

from ovsam_plugin.curation.groups import keep_names
from tests.curation.run_by_hand import add_run

from .asking import execute, form

FIELD = "ovsam"


@pytest.fixture
def grouped(dataset: fo.Dataset) -> fo.Dataset:
    """A run by hand with two groups of unknown instances, whose nearest words are kept."""
    add_run(dataset)
    keep_names(dataset, FIELD, {1: ["mug", "vase"], 2: ["weasel"]})
    return dataset


def test_without_groups_the_form_says_what_to_do(named: fo.Dataset, dataset: fo.Dataset) -> None:
    assert "with Score a run" in str(form("name_group", named).to_json())
    shown = form("name_group", dataset)
    assert shown.invalid
    assert "No labelling run yet" in str(shown.to_json())


def test_the_names_near_a_group_are_offered_first(grouped: fo.Dataset) -> None:
    for group, first in (("1", ["mug", "vase"]), ("2", ["weasel"])):
        asked = form("name_group", grouped, group=group).to_json()["type"]["properties"]
        assert asked["group"]["default"] == group
        offered = [choice["value"] for choice in asked["name"]["view"]["choices"]]
        assert offered[: len(first)] == first
        assert {"cat", "cup", "otter"} <= set(offered)
        assert len(offered) == len(set(offered))


def test_a_group_has_one_name_at_once(grouped: fo.Dataset) -> None:
    assert execute("name_group", grouped, group="1", name="thing").result == {"renamed": 2}
    path = f"{FIELD}.detections."
    groups, labels, reviews = grouped.values(
        [f"{path}group", f"{path}label", f"{path}review"], unwind=True
    )
    assert groups.count(1) == 2
    for group, label, review in zip(groups, labels, reviews):
        assert (label == "thing") == (group == 1)
        assert (review == "renamed") == (group == 1)


def test_without_a_number_it_is_the_group_that_the_form_shows_first(grouped: fo.Dataset) -> None:
    execute("name_group", grouped, group="1", name="thing", by="Ann")
    assert form("name_group", grouped).to_json()["type"]["properties"]["group"]["default"] == "2"
    assert execute("name_group", grouped, name="otter").result == {"renamed": 1}
    by = grouped.values(f"{FIELD}.detections.reviewed_by", unwind=True)
    assert by.count("Ann") == 2
    with pytest.raises(ExecutionError, match="have been decided about"):
        execute("name_group", grouped, name="otter")


def test_a_blank_name_decides_nothing(grouped: fo.Dataset) -> None:
    with pytest.raises(ExecutionError, match="name"):
        execute("name_group", grouped, group="1", name=" ")
    assert not any(grouped.values(f"{FIELD}.detections.review", unwind=True))


def test_a_group_of_all_slices_has_one_name(two_slices: fo.Dataset) -> None:
    both = two_slices.select_group_slices(["left", "right"])
    both.set_values(f"{FIELD}.detections.group", [[1, None, 1], [1, None]])
    assert execute("name_group", two_slices, group="1", name="thing").result == {"renamed": 3}


def test_a_run_that_was_scored_without_a_group_is_not_to_be_scored_again(
    grouped: fo.Dataset,
) -> None:
    grouped.set_values(f"{FIELD}.detections.group", [[None, None]] * 3)
    told = form("name_group", grouped)
    assert "raise the share that counts as unknown" in told.error_message
    assert told.error_message in str(told.to_json()["type"]["properties"]["field"])
    with pytest.raises(ExecutionError, match="raise the share"):
        execute("name_group", grouped, name="otter")
    found = str(form("find_instances", grouped, kind="group").to_json())
    assert "raise the share that counts as unknown" in found


def test_of_groups_that_are_all_decided_that_is_told(grouped: fo.Dataset) -> None:
    for group in ("1", "2"):
        execute("name_group", grouped, group=group, name="thing")
    assert "have been decided about" in form("name_group", grouped).error_message
