"""Labelling as a person does it in the App: tried first, then done, seen, stopped and gone on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fiftyone as fo
import pytest

from tests.browser.panel import eventually

# A first label of a process loads torch, which takes a busy machine its time.
PATIENCE = 240_000


def labels(dataset: fo.Dataset, field: str) -> dict[str, list[dict[str, Any]]]:
    """By the photographs' names, what the database has."""
    rows = dataset._sample_collection.find({}, {"filepath": True, field: True})
    return {
        Path(row["filepath"]).name: (row.get(field) or {}).get("detections") or [] for row in rows
    }


def open_form(page: Any) -> None:
    """Finds the operator by its first word."""
    page.locator("[data-cy=looker]").first.wait_for()
    # A key that is pressed while a dialog goes, or the grid is drawn anew, is nobody's.
    page.locator(".MuiDialog-root").first.wait_for(state="detached")
    search = page.get_by_placeholder("Search operations by name...")

    def opened() -> bool:
        page.keyboard.press("`")
        for _ in range(30):
            page.wait_for_timeout(100)
            if search.is_visible():
                return True
        return False

    eventually(opened, "the list of operators does not open")
    search.fill("label")
    page.keyboard.press("Enter")
    page.get_by_text("What to label").wait_for()


@pytest.fixture
def many(tmp_path: Path, photographs: dict[str, Path]) -> Iterator[fo.Dataset]:
    """Twelve photographs: enough to be stopped among them."""
    paths = []
    for number in range(12):
        paths.append(tmp_path / f"{number:02}.png")
        shutil.copy(photographs["coffee.png"], paths[-1])
    made = fo.Dataset()
    made.add_images([str(path) for path in paths])
    yield made
    made.delete()


def test_settings_are_tried_moved_and_then_used_for_all(
    dataset: fo.Dataset, open_app: Callable[[fo.Dataset], Any]
) -> None:
    page = open_app(dataset)
    open_form(page)
    page.get_by_text("Try on 3 photographs").click()
    picture = page.get_by_alt_text("the photographs with their labels")
    picture.wait_for(timeout=PATIENCE)
    page.get_by_text("instances per photograph; all 3 take").wait_for()
    assert dataset._sample_collection.count_documents({"ovsam": {"$exists": True}}) == 0
    before = picture.get_attribute("src")

    slider = page.locator(".MuiDialog-root .MuiSlider-root").first
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    page.mouse.click(box["x"] + 0.6 * box["width"], box["y"] + box["height"] / 2)
    page.get_by_text("Minimum objectness: 0.6").wait_for()
    page.wait_for_function(
        "before => document.querySelector('img[alt^=\"the photographs\"]')?.src !== before",
        arg=before,
    )
    asked = page.locator(".MuiDialog-root").get_by_text("Stricter with", exact=True).last
    asked.locator("xpath=following::*[@role='combobox'][1]").click(timeout=10_000)
    strict = page.get_by_role("option").nth(1).inner_text()
    page.get_by_role("option").nth(1).click()
    page.get_by_text(f"Minimum confidence of '{strict}'").wait_for()
    # The App puts a new question's default into the form a moment after it shows the question.
    submit = page.get_by_role("button", name="Label all 3")
    eventually(submit.is_enabled, "the form is not read")
    slider = page.locator(".MuiDialog-root .MuiSlider-root").last
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    page.mouse.click(box["x"] + 0.8 * box["width"], box["y"] + box["height"] / 2)
    page.get_by_text(f"Minimum confidence of '{strict}': 0.8").wait_for()
    submit.click()
    page.get_by_text("Photographs labelled").wait_for(timeout=PATIENCE)
    page.get_by_role("button", name="Done").click()
    dataset.reload()
    found = labels(dataset, "ovsam")
    least = dataset.get_run_info("ovsam").config.min_objectness
    assert least == pytest.approx(0.6, abs=0.02)
    assert sum(map(len, found.values())) >= 1
    made = [one for each in found.values() for one in each]
    assert all(one["objectness"] >= least for one in made)
    assert all(one["confidence"] >= 0.78 for one in made if one["label"] == strict)
    (limit,) = json.loads(dataset.get_run_info("ovsam").config.calibration)["thresholds"].items()
    assert limit == (strict, pytest.approx(0.8, abs=0.02))
    # What was made is seen at once, each class in its colour.
    page.locator("[data-cy=checkbox-ovsam]").first.wait_for()
    dataset.reload()
    assert dataset.app_config.color_scheme.color_by == "value"


def test_what_is_in_the_way_is_told_in_the_form(
    named: fo.Dataset, open_app: Callable[[fo.Dataset], Any]
) -> None:
    page = open_app(named)
    open_form(page)
    page.get_by_text("if empty: the new field ovsam_lvis").wait_for()
    box = page.locator(".MuiDialog-root input:not([type=checkbox], [type=range])").last
    box.fill("asks")
    page.get_by_text(
        "'asks' holds labels of 3 photographs, made by something other than this plugin"
    ).wait_for()
    assert page.get_by_role("button", name="Label", exact=True).is_disabled()
    before = labels(named, "asks")
    box.fill("mine")
    page.get_by_role("button", name="Label all 3").wait_for()
    assert labels(named, "asks") == before


def test_labelling_is_stopped_and_gone_on_with(
    many: fo.Dataset, open_app: Callable[[fo.Dataset], Any]
) -> None:
    page = open_app(many)
    open_form(page)
    page.get_by_role("button", name="Label all 12").click()
    page.get_by_role("button", name="Stop: what is done is kept").click(timeout=PATIENCE)
    page.get_by_text("Photographs left").wait_for(timeout=PATIENCE)
    page.get_by_role("button", name="Done").click()
    done = [made for made in labels(many, "ovsam").values() if made]
    assert 1 <= len(done) < 12
    open_form(page)
    page.get_by_text(f"{len(done)} of 12 photographs already have labels; the rest").wait_for()
    page.get_by_role("button", name=f"Label all {12 - len(done)}").click()
    page.get_by_text("Photographs that already had labels").wait_for(timeout=PATIENCE)
    assert all(labels(many, "ovsam").values())


def test_the_panels_have_buttons_above_the_grid(
    dataset: fo.Dataset, open_app: Callable[[fo.Dataset], Any]
) -> None:
    page = open_app(dataset)
    # Two panels beside the grid leave its buttons room.
    page.set_viewport_size({"width": 2600, "height": 1100})

    def button(operator: str) -> Any:
        return page.locator(f"[data-item-id='@ovsam/curation/{operator}']").first

    button("label").click()
    page.get_by_text("What to label").wait_for()
    page.get_by_role("button", name="Cancel").click()
    button("open_segment").click()
    page.locator(".ovsam-segment").wait_for()
    button("open_review").click()
    page.locator("[data-cy=panel-tab-review]").wait_for()
