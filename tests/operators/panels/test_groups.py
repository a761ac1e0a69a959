"""The panel "Groups", as the App calls it."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import fiftyone as fo
import pytest
from fiftyone.operators.executor import ExecutionContext

from operators.panels.groups import Groups
from ovsam_plugin.curation.groups import keep_names
from tests.curation.run_by_hand import add_run
from tests.operators.asking import asked_of_app, context

FIELD = "ovsam"


@pytest.fixture
def run(dataset: fo.Dataset) -> fo.Dataset:
    """A run by hand with two groups: two instances that look like mugs, and an otter."""
    add_run(dataset)
    keep_names(dataset, FIELD, {1: ["mug", "vase"], 2: []})
    return dataset


def panel(dataset: fo.Dataset, state: dict[str, Any] | None = None, **params: Any) -> Any:
    """The context of an event in a panel of that state."""
    held = {"params": {"panel_id": "groups-1", "panel_state": state or {}, **params}}
    return context("groups", dataset, **held)


def state_of(ctx: ExecutionContext) -> dict[str, Any]:
    """What the panel keeps after an event."""
    return deepcopy(dict(ctx.panel_state))


def shown(dataset: fo.Dataset, state: dict[str, Any]) -> dict[str, Any]:
    rendered = Groups().render(panel(dataset, state)).to_json()
    properties: dict[str, Any] = rendered["type"]["properties"]
    return properties


def loaded(dataset: fo.Dataset) -> dict[str, Any]:
    ctx = panel(dataset)
    Groups().on_load(ctx)
    return state_of(ctx)


def decided(dataset: fo.Dataset) -> list[tuple[str, str]]:
    dataset.reload()
    paths = [f"{FIELD}.detections.{name}" for name in ("label", "review")]
    return sorted((n, r) for n, r in zip(*dataset.values(paths, unwind=True)) if r)


def test_without_a_run_or_groups_the_panel_says_what_to_do(dataset: fo.Dataset) -> None:
    assert "label the photographs first" in str(shown(dataset, loaded(dataset))["none"])
    add_run(dataset, scored=False)
    assert "Score a run" in str(shown(dataset, loaded(dataset))["none"])


def test_each_group_has_its_size_its_nearest_names_and_its_crops(run: fo.Dataset) -> None:
    ctx = panel(run)
    Groups().on_load(ctx)
    properties = shown(run, state_of(ctx))
    first, second = properties["group_1"], properties["group_2"]
    assert "2 instances" in str(first)
    assert "mug" in str(first)
    assert "1 instance**" in str(second)
    assert "nearest names" not in str(second)
    assert "settings" not in properties  # there is only one run to choose
    pictures = [
        str(r["params"]) for r in ctx.executor.to_json()["requests"]
        if r["operator_uri"] == "patch_panel_data"
    ]  # fmt: skip
    assert sum("data:image/jpeg;base64," in each for each in pictures) == 2


def test_a_name_goes_to_all_of_a_row_and_can_be_taken_back(run: fo.Dataset) -> None:
    state = loaded(run)
    ctx = panel(run, state, number=1, name="mug")
    Groups().give(ctx)
    assert decided(run) == [("mug", "renamed"), ("mug", "renamed")]
    assert "2 instances are now 'mug'" in str(asked_of_app(ctx)["notify"])
    assert "group_1" not in shown(run, state_of(ctx))
    Groups().undo(panel(run, state))
    assert decided(run) == []
    ctx = panel(run, state)
    Groups().undo(ctx)
    assert "There is no decision of" in str(asked_of_app(ctx)["notify"])


def test_decisions_are_those_of_who_gives_a_name(run: fo.Dataset) -> None:
    state = {**loaded(run), "steps": {"by": "Ann"}}
    Groups().give(panel(run, state, number=1, name="mug"))
    by = run.values(f"{FIELD}.detections.reviewed_by", unwind=True)
    assert sorted(filter(None, by)) == ["Ann", "Ann"]
    other = panel(run, {**state, "steps": {"by": "Ben"}})
    Groups().undo(other)
    assert "no decision of Ben" in str(asked_of_app(other)["notify"])
    Groups().undo(panel(run, state))
    assert decided(run) == []


def test_a_second_click_says_that_the_group_is_decided(run: fo.Dataset) -> None:
    state = loaded(run)
    Groups().give(panel(run, state, number=1, name="mug"))
    again = panel(run, state, number=1, name="vase")
    Groups().give(again)
    told = str(asked_of_app(again)["notify"])
    assert "there is no group 1 of unknown instances: choose one of 2" in told
    shows = panel(run, state, number=1)
    Groups().show(shows)
    asked = asked_of_app(shows)
    assert "there is no group 1" in str(asked["notify"])
    assert "set_view" not in asked
    assert decided(run) == [("mug", "renamed"), ("mug", "renamed")]


def test_a_typed_name_is_given_once_it_is_there(run: fo.Dataset) -> None:
    state = loaded(run)
    ctx = panel(run, {**state, "group_2": {"name_2": "  "}}, number=2)
    Groups().give_typed(ctx)
    assert "Type a name first" in str(asked_of_app(ctx)["notify"])
    assert decided(run) == []
    Groups().give_typed(panel(run, {**state, "group_2": {"name_2": " ferret "}}, number=2))
    assert decided(run) == [("ferret", "renamed")]


def test_a_row_is_rejected_or_shown_in_the_grid(run: fo.Dataset) -> None:
    state = loaded(run)
    ctx = panel(run, state, number=1)
    Groups().show(ctx)
    view = fo.DatasetView._build(run, asked_of_app(ctx)["set_view"]["view"])
    assert len(view) == 2
    Groups().reject(panel(run, state, number=1))
    assert [review for _, review in decided(run)] == ["rejected", "rejected"]


def test_another_run_is_chosen_and_kept(run: fo.Dataset) -> None:
    add_run(run, "again")
    state = loaded(run)
    assert state["field"] == FIELD
    assert "settings" in shown(run, state)
    ctx = panel(run, state, value="again")
    Groups().choose_field(ctx)
    assert state_of(ctx)["field"] == "again"
    ctx = panel(run, state_of(ctx))
    Groups().on_load(ctx)
    assert state_of(ctx)["field"] == "again"
