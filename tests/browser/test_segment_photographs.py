"""What the panel "Segment" opens, and what the grid and an open sample show of its work."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import fiftyone as fo

from tests.browser.panel import CAT, NAMES, Panel, eventually, labels, painted, show


def differs(drawn: list[int], bare: list[int]) -> list[bool]:
    """Which of the grid's photographs look otherwise than before."""
    return [now != before for now, before in zip(drawn, bare)]


def test_the_grid_shows_what_is_added_and_one_goes_through_what_it_shows(
    dataset: fo.Dataset, open_app: Callable[[fo.Dataset], Any]
) -> None:
    page = open_app(dataset)
    panel = show(page, (451, 300))
    bare = painted(page)
    # A field that is new is there, and shown, with its first instance.
    panel.click(*CAT)
    panel.press("Enter")
    page.locator("[data-cy=checkbox-clicked]").first.wait_for()
    eventually(lambda: differs(painted(page), bare) == [True, False, False], "the cat is not drawn")
    page.get_by_role("button", name="Next").click()
    panel.wait_for_photograph((600, 400))
    panel.drag(160, 20, 415, 260)
    panel.press("Enter")
    eventually(lambda: differs(painted(page), bare) == [True, True, False], "the cup is not drawn")

    # A name that no field can have leaves the field as it was.
    panel.type("#ovsam-field", "no name!")
    assert "cannot be a label field" in panel.notice
    assert panel.desk("desk.settings.field") == "clicked"
    assert page.locator("#ovsam-field").input_value() == "clicked"

    # The photograph stays when the grid shows others, and the next one is of those.
    first, second, third = dataset.values("id")
    panel.wait(f"desk.beside?.next === '{third}'")
    limited = "[{_cls: 'fiftyone.core.stages.Limit', kwargs: [['limit', 2]]}]"
    page.evaluate(f"window.__foo__.executeOperator('set_view', {{view: {limited}}})")
    panel.wait("desk.beside && desk.beside.next === null")
    assert page.get_by_role("button", name="Next").is_disabled()
    assert panel.desk("desk.sheet.id") == second
    page.evaluate("window.__foo__.executeOperator('clear_view')")
    panel.wait(f"desk.beside?.next === '{third}'")
    page.get_by_role("button", name="Previous").click()
    panel.wait_for_photograph((451, 300))
    assert panel.desk("desk.sheet.id") == first
    # Also while it is opened, as the App tells its view late.
    panel.desk("(desk.open(desk.context, null), desk.follow({...desk.context}))")
    panel.wait(f"desk.beside?.next === '{second}'")


def test_a_photograph_that_is_open_shows_what_is_added(
    dataset: fo.Dataset, open_app: Callable[[fo.Dataset], Any]
) -> None:
    page = open_app(dataset)
    page.locator("[data-cy=looker]").first.click()
    page.locator("#modal [data-cy=panel-tab-segment]").click()
    panel = Panel(page)
    panel.wait_for_photograph((451, 300))
    panel.type("#ovsam-names", NAMES)
    panel.click(*CAT)
    panel.press("Enter")
    assert [label["label"] for label in labels(dataset)] == ["cat"]
    panel.press("ArrowRight")
    panel.wait_for_photograph((600, 400))
    assert panel.steps == []


def test_a_label_that_is_selected_in_an_open_sample_is_taken_up(
    dataset: fo.Dataset, open_app: Callable[[fo.Dataset], Any]
) -> None:
    box = fo.Detection(label="thing", bounding_box=[0.2, 0.1, 0.5, 0.6])
    sample = dataset.first()
    sample["drawn"] = fo.Detections(detections=[box])
    sample.save()
    page = open_app(dataset)
    page.locator("[data-cy=looker]").first.click()
    page.locator("#modal [data-cy=panel-tab-segment]").click()
    panel = Panel(page)
    panel.wait_for_photograph((451, 300))
    chosen = f"[{{ sample_id: '{sample.id}', label_id: '{box.id}', field: 'drawn' }}]"
    page.evaluate(f"window.__foo__.executeOperator('set_selected_labels', {{ labels: {chosen} }})")
    panel.wait(f"desk.sheet?.held?.id === '{box.id}'")
    assert panel.desk("desk.settings.field") == "drawn"
    # What is clicked stays when the selection is taken back.
    panel.drag(60, 20, 420, 280)
    page.evaluate("window.__foo__.executeOperator('set_selected_labels', { labels: [] })")
    page.wait_for_timeout(500)
    assert len(panel.steps) == 1


def test_of_patches_the_photographs_are_opened(
    labelled: fo.Dataset, open_app: Callable[[fo.Dataset], Any]
) -> None:
    patches = labelled.to_patches("ovsam")
    page = open_app(labelled)
    page.get_by_text("3 samples", exact=True).wait_for()
    stages = json.dumps(patches._serialize())
    page.evaluate(f"window.__foo__.executeOperator('set_view', {{ view: {stages} }})")
    page.get_by_text("7 patches", exact=True).wait_for()
    panel = show(page, (451, 300))
    # Where the instances are that a person may look for.
    page.get_by_text("0 in clicked; 3 in ovsam: choose the field above to edit them").wait_for()
    panel.type("#ovsam-field", "ovsam")
    page.get_by_text("3 in ovsam", exact=True).wait_for()
    panel.press("ArrowRight")
    panel.wait_for_photograph((600, 400))
    panel.press("ArrowRight")
    panel.wait_for_photograph((512, 512))

    # A patch that is selected, and one that is open.
    page.locator("[data-cy=looker]").nth(3).click(position={"x": 10, "y": 10})
    panel.wait_for_photograph((600, 400))
    dog = patches.values("id")[1]
    page.evaluate(f"window.__foo__.executeOperator('open_sample', {{ id: '{dog}' }})")
    page.locator("#modal [data-cy=panel-tab-segment]").click()
    inside = "document.querySelector('#modal .ovsam-segment')?.ovsam?.sheet"
    page.wait_for_function(f"{inside}?.ready && {inside}.size[0] === 451")
