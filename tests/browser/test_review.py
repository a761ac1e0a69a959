"""The review panel as a person uses it: clicks and keys in a browser, and what they leave."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import fiftyone as fo
import pytest

from ovsam_plugin import label_dataset
from ovsam_plugin.curation.decisions import Progress, progress
from ovsam_plugin.curation.review_queue import Entry, queue

FIELD = "ovsam"
# Milliseconds from the last letter to the click: the App hears of what is typed a moment later.
HAND = 2_000
# Boxes (relative) around the cat, the cup and the woman.
BOXES = ([0.1, 0.0, 0.78, 1.0], [0.27, 0.05, 0.42, 0.6], [0.03, 0.01, 0.69, 0.99])


@pytest.fixture
def found(dataset: fo.Dataset) -> list[Entry]:
    """What `ovsam-lite` sees in one box a photograph, least sure first."""
    for sample, box in zip(dataset.iter_samples(autosave=True), BOXES):
        sample["boxes"] = fo.Detections(detections=[fo.Detection(bounding_box=box)])
    label_dataset(
        dataset, vocabulary="cat, cup, person, spoon", box_field="boxes", device="cpu", workers=0
    )
    return queue(dataset, FIELD, "confidence")


def state(dataset: fo.Dataset, label_id: str) -> tuple[str, str | None, str | None]:
    """(name, decision, the model's name) as the database has them."""
    for sample in dataset._sample_collection.find({}):
        for label in sample[FIELD]["detections"]:
            if str(label["_id"]) == label_id:
                return label["label"], label.get("review"), label.get("predicted_label")
    raise KeyError(label_id)


def eventually(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.1)


def source(picture: Any) -> str:
    return str(picture.get_attribute("src"))


def press(page: Any, key: str) -> None:
    """Alt and a key, as a keyboard gives them: access keys go by the character, which Playwright
    leaves out when Alt is held."""
    session = page.context.new_cdp_session(page)
    pressed = {"modifiers": 1, "key": key, "windowsVirtualKeyCode": ord(key.upper())}
    for kind, text in (("rawKeyDown", ""), ("char", key), ("keyUp", "")):
        event = {**pressed, "type": kind, "text": text, "unmodifiedText": text}
        session.send("Input.dispatchKeyEvent", event)
    session.detach()


def test_instances_are_decided_by_click_and_key_and_one_is_undone(
    dataset: fo.Dataset, found: list[Entry], open_app: Callable[[fo.Dataset], Any]
) -> None:
    first, second, third = (entry.label_id for entry in found)
    page = open_app(dataset)
    page.locator("[data-cy=new-panel-btn]").first.click()
    page.get_by_text("OVSAM review").first.click()

    page.get_by_text("0 of 3 decided").wait_for()
    picture = page.get_by_alt_text("the instance")
    before = source(picture)
    width = picture.evaluate("image => image.naturalWidth")
    assert (before[:15], width) == ("data:image/jpeg", 480)

    page.get_by_role("button", name="Accept").click()
    page.get_by_text("1 of 3 decided").wait_for()
    assert state(dataset, first) == (found[0].label, "accepted", None)
    eventually(lambda: source(picture) != before, "the picture stayed")

    before = source(picture)
    other = next(name for name in ("cat", "cup", "person", "spoon") if name != found[1].label)
    button = page.get_by_role("button", name=other)
    press(page, button.inner_text().split()[0])
    page.get_by_text("2 of 3 decided").wait_for()
    assert state(dataset, second) == (other, "renamed", found[1].label)
    eventually(lambda: source(picture) != before, "the picture stayed")

    press(page, "u")
    page.get_by_text("1 of 3 decided").wait_for()
    eventually(lambda: source(picture) == before, "the picture did not come back")
    assert state(dataset, second) == (found[1].label, None, None)

    box = page.get_by_placeholder("Type or select a value")
    button = page.get_by_role("button", name="Give this name")
    button.click()
    page.get_by_text("Type a name first").wait_for()
    box.fill("tabby")
    page.wait_for_timeout(HAND)
    button.click()
    page.get_by_text("2 of 3 decided").wait_for()
    assert state(dataset, second) == ("tabby", "renamed", found[1].label)
    eventually(lambda: box.input_value() == "", "the typed name stayed")

    page.get_by_role("button", name="Show in the grid").click()
    page.get_by_text("1 sample", exact=True).wait_for()
    assert state(dataset, third)[1] is None
    dataset.reload()
    assert progress(dataset, FIELD) == Progress(accepted=1, renamed=1, open=1)


def test_a_bar_that_is_clicked_filters_the_queue(
    labelled: fo.Dataset, open_app: Callable[[fo.Dataset], Any]
) -> None:
    page = open_app(labelled)
    page.locator("[data-cy=new-panel-btn]").first.click()
    page.get_by_text("OVSAM review").first.click()
    page.get_by_text("spoon in coffee.png").wait_for()
    picture = page.get_by_alt_text("the instance")
    before = source(picture)
    # The classes' chart is the second one; its uppermost bar is the most frequent class.
    page.locator(".js-plotly-plot").nth(1).locator(".bars .point path").last.click(force=True)
    page.get_by_text("cup in chelsea.png").wait_for()
    eventually(lambda: source(picture) != before, "the picture stayed")
    box = page.get_by_placeholder("Type or select a value")
    box.fill("mug")
    page.wait_for_timeout(HAND)
    page.get_by_role("button", name="Give this name").click()
    page.get_by_text("1 of 6 decided").wait_for()
    # The App once kept the tail of a longer chart after something had been typed.
    bars = "charts => charts[1].data[0].x"
    eventually(
        lambda: page.locator(".js-plotly-plot").evaluate_all(bars) == [1, 1, 1, 1, 1], "bars"
    )
    page.get_by_role("button", name="Show everything").click()
    page.get_by_text("spoon in coffee.png").wait_for()
