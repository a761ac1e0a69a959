"""Finding, deciding and naming groups as a person does: clicks and keys, and what they leave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import fiftyone as fo
import pytest

from ovsam_plugin.curation.decisions import Progress, progress
from ovsam_plugin.curation.groups import keep_names
from tests.browser.panel import eventually
from tests.curation.run_by_hand import add_run, add_truth, evaluate

FIELD = "ovsam"


@pytest.fixture
def run(dataset: fo.Dataset) -> fo.Dataset:
    """A run with scores, two groups of unknown instances and an evaluation."""
    add_truth(dataset)
    add_run(dataset)
    evaluate(dataset)
    keep_names(dataset, FIELD, {1: ["mug", "bowl"], 2: ["fox"]})
    return dataset


def stored(dataset: fo.Dataset, field: str = FIELD) -> list[tuple[str | None, str | None]]:
    """(name, decision) of all labels as the database has them."""
    return [
        (label.get("label"), label.get("review"))
        for sample in dataset._sample_collection.find({}).sort("_id")
        for label in sample[field]["detections"]
    ]


def page_error() -> type[Exception]:
    """What a step raises that takes too long; the package may not be installed."""
    from playwright.sync_api import Error

    return Error


def repeat(page: Any, ask: Callable[[], None], answer: Any) -> None:
    """Asks until there is an answer: the App knows of our plugin a moment after it is drawn."""
    for _ in range(20):
        ask()
        try:
            answer.wait_for(timeout=5_000)
        except page_error():
            page.keyboard.press("Escape")
        else:
            return
    raise AssertionError("the App never came to know of the plugin")


def open_panel(page: Any, name: str) -> None:
    entry = page.get_by_text(name).first
    repeat(page, page.locator("[data-cy=new-panel-btn]").first.click, entry)
    entry.click()


def operate(page: Any, name: str) -> None:
    """Opens an operator's form by its name, with the keyboard."""

    def ask() -> None:
        page.keyboard.press("`")
        page.get_by_placeholder("Search operations by name...").fill(name)

    repeat(page, ask, page.get_by_text(name, exact=True).last)
    page.keyboard.press("Enter")


def execute(page: Any) -> None:
    button = page.get_by_role("button", name="Execute")
    button.wait_for()
    page.wait_for_function(
        "[...document.querySelectorAll('button')]"
        ".some(b => b.innerText.includes('Execute') && !b.disabled)"
    )
    button.first.click()


def test_a_group_is_seen_as_crops_and_named_by_a_click(
    run: fo.Dataset, open_app: Callable[[fo.Dataset], Any]
) -> None:
    before = stored(run)
    page = open_app(run)
    open_panel(page, "OVSAM groups")
    page.get_by_text("2 instances", exact=False).first.wait_for()
    picture = page.get_by_alt_text("group 1")
    picture.wait_for()
    # Two crops side by side.
    assert picture.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [324, 120]

    page.get_by_role("button", name="mug").click()
    page.get_by_text("2 instances are now 'mug'").wait_for()
    assert stored(run).count(("mug", "renamed")) == 2
    page.get_by_alt_text("group 1").wait_for(state="detached")
    page.get_by_alt_text("group 2").wait_for()

    page.get_by_role("button", name="Undo my last decision").click()
    page.get_by_alt_text("group 1").wait_for()
    assert stored(run) == before


def test_what_is_found_is_decided_as_a_whole_and_undone_in_one_step(
    run: fo.Dataset, open_app: Callable[[fo.Dataset], Any]
) -> None:
    before = stored(run)
    page = open_app(run)
    page.get_by_text("3 samples", exact=True).wait_for()
    # An evaluation has opened its panel over the grid.
    panel = "{ name: 'model_evaluation_panel_builtin', isActive: true }"
    page.evaluate(f"window.__foo__.executeOperator('open_panel', {panel})")
    page.get_by_text("3 samples", exact=True).wait_for(state="detached")
    operate(page, "Find rare, novel, unknown or doubtful instances")
    execute(page)
    page.get_by_text("1 patch", exact=True).wait_for()
    page.keyboard.press("Escape")

    operate(page, "Decide on what is selected")
    page.get_by_text("The instance in view").wait_for()
    execute(page)
    eventually(
        lambda: [decision for _, decision in stored(run)].count("accepted") == 1,
        "nothing was accepted",
    )
    run.reload()
    assert progress(run, FIELD) == Progress(accepted=1, open=4)
    page.get_by_text("1 accepted").wait_for()
    page.keyboard.press("Escape")

    operate(page, "Decide on what is selected")
    page.get_by_text("Accept: the names are right").click()
    page.get_by_text("Undo my last decision").click()
    execute(page)
    eventually(lambda: stored(run) == before, "nothing was undone")
