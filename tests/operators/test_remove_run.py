"""The operator `remove_run`, through FiftyOne's own executor."""

from __future__ import annotations

import fiftyone as fo
import pytest
from fiftyone.operators.executor import ExecutionError

from ovsam_plugin.curation.workspace import setup_workspace
from tests.curation.run_by_hand import add_run

from .asking import asked_of_app, execute, form


@pytest.fixture
def run(dataset: fo.Dataset) -> fo.Dataset:
    """A run by hand with its workspace."""
    add_run(dataset)
    setup_workspace(dataset, "ovsam")
    return dataset


def test_nothing_is_chosen_for_a_person(run: fo.Dataset) -> None:
    shown = form("remove_run", run)
    assert (shown.invalid, shown.error_message) == (True, "choose a run")
    assert "confirmed" not in shown.to_json()["type"]["properties"]


def test_what_goes_is_listed_and_needs_a_tick(run: fo.Dataset) -> None:
    shown = form("remove_run", run, field="ovsam")
    assert (shown.invalid, shown.error_message) == (True, "tick the box to confirm")
    assert "OVSAM curation" in str(shown.to_json())
    with pytest.raises(ExecutionError, match="tick the box to confirm"):
        execute("remove_run", run, field="ovsam")
    assert run.count("ovsam.detections") == 6
    assert not form("remove_run", run, field="ovsam", confirmed=True).invalid


def test_a_run_goes_with_its_workspace_and_its_group_in_the_app(run: fo.Dataset) -> None:
    done = execute("remove_run", run, field="ovsam", confirmed=True)
    assert "OVSAM curation" in done.result["removed"]
    run.reload()
    assert run.get_field("ovsam") is None
    assert not run.has_workspace("OVSAM curation")
    told = asked_of_app(done)
    assert list(told) == ["@ovsam/curation/show_groups", "clear_view", "reload_dataset"]
    assert "ovsam run" not in str(told["@ovsam/curation/show_groups"])
