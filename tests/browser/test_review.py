"""The review panel as a person uses it: clicks and keys in a browser, and what they leave."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import fiftyone as fo
import pytest

from ovsam_plugin import label_dataset
from ovsam_plugin.curation.decisions import Progress, accept, progress
from ovsam_plugin.curation.removal import remove_run
from ovsam_plugin.curation.review_queue import Entry, queue
from ovsam_plugin.curation.scores import score_run
from tests.browser.panel import Panel, eventually

FIELD = "ovsam"
# Boxes (relative) around the cat, the cup and the woman.
BOXES = ([0.1, 0.0, 0.78, 1.0], [0.27, 0.05, 0.42, 0.6], [0.03, 0.01, 0.69, 0.99])
# Milliseconds from a press until the next instance is in view.
SOON = 300


@pytest.fixture
def found(dataset: fo.Dataset) -> list[Entry]:
    """What `ovsam-lite` sees in one box a photograph, least sure first."""
    for sample, box in zip(dataset.iter_samples(autosave=True), BOXES):
        sample["boxes"] = fo.Detections(detections=[fo.Detection(bounding_box=box)])
    label_dataset(
        dataset, vocabulary="cat, cup, person, spoon", box_field="boxes", device="cpu", workers=0
    )
    return queue(dataset, FIELD, "confidence")


def stored(dataset: fo.Dataset) -> dict[str, dict[str, Any]]:
    """The labels by their ids, as the database has them."""
    found = dataset._sample_collection.find({})
    return {str(label["_id"]): label for one in found for label in one[FIELD]["detections"]}


def state(dataset: fo.Dataset, label_id: str) -> tuple[str, str | None, str | None]:
    """(name, decision, the model's name) as the database has them."""
    label = stored(dataset)[label_id]
    return label["label"], label.get("review"), label.get("predicted_label")


class Review:
    """The panel in a page."""

    def __init__(self, page: Any) -> None:
        self.page = page
        if not page.locator(".ovsam-review").count():
            page.locator("[data-cy=new-panel-btn]").first.click()
            page.get_by_text("OVSAM review").first.click()
        self.wait("desk.shown")

    def desk(self, code: str) -> Any:
        """A JavaScript expression over `desk`, what the script keeps of the review."""
        return self.page.evaluate(
            f"(desk => {code})(document.querySelector('.ovsam-review').ovsam)"
        )

    def wait(self, code: str) -> None:
        desk = "const desk = document.querySelector('.ovsam-review')?.ovsam; "
        self.page.wait_for_function(f"(() => {{ {desk} return desk && ({code}); }})()")

    def settle(self) -> None:
        """Until the server knows all that was pressed."""
        self.wait("!desk.opening && !desk.presses.length && !desk.todo.length && !desk.sending")

    def press(self, *keys: str) -> None:
        self.page.locator(".ovsam-review").focus()
        for key in keys:
            self.page.keyboard.press(key)
        self.settle()

    def click(self, name: str) -> None:
        self.page.get_by_role("button", name=name).click()
        self.settle()

    @property
    def ahead(self) -> list[str]:
        """Ids of what waits, the one in view first."""
        return list(self.desk("desk.waiting.map(one => one.label_id)"))

    def see(self, label_id: str) -> None:
        self.wait(f"desk.shown?.label_id === '{label_id}'")
        self.page.get_by_alt_text("the instance").wait_for()


def access_key(page: Any, key: str) -> None:
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
    panel = Review(page)
    page.get_by_text("0 of 3 decided").wait_for()
    panel.see(first)
    picture = page.get_by_alt_text("the instance")
    assert picture.get_attribute("src")[:15] == "data:image/jpeg"
    assert picture.evaluate("image => image.naturalWidth") == 480

    page.locator("#ovsam-reviewer").fill("ada")
    page.locator("#ovsam-reviewer").press("Enter")
    panel.click("Accept")
    panel.see(second)
    assert state(dataset, first) == (found[0].label, "accepted", None)
    assert stored(dataset)[first]["reviewed_by"] == "ada"

    other = next(name for name in ("cat", "cup", "person", "spoon") if name != found[1].label)
    # The button with its score, and not the bar of the chart.
    button = page.get_by_role("button", name=re.compile(rf"{other}\s+0?\.\d"))
    panel.press(button.inner_text().split()[0])
    panel.see(third)
    assert state(dataset, second) == (other, "renamed", found[1].label)

    access_key(page, "u")
    panel.see(second)
    panel.settle()
    assert state(dataset, second) == (found[1].label, None, None)

    # A name is typed, and Enter gives it.
    panel.press("n")
    page.keyboard.type("tabby")
    page.keyboard.press("Enter")
    panel.settle()
    assert state(dataset, second) == ("tabby", "renamed", found[1].label)
    panel.see(third)
    assert page.locator("#ovsam-review-name").input_value() == ""

    panel.press("Delete")
    page.get_by_text("Press Delete again").wait_for()
    assert third in stored(dataset)
    panel.press("Delete")
    page.get_by_text("Nothing is left in this queue").wait_for()
    assert third not in stored(dataset)
    dataset.reload()
    assert progress(dataset, FIELD) == Progress(accepted=1, renamed=1)


def test_every_press_counts_and_the_next_instance_is_there_at_once(
    labelled: fo.Dataset, ids: dict[str, str], open_app: Callable[[fo.Dataset], Any]
) -> None:
    page = open_app(labelled)
    panel = Review(page)
    waiting = panel.ahead
    assert len(waiting) == 6
    panel.wait("desk.pictures.size === 6 && [...desk.pictures.values()].every(one => one.picture)")
    # From the key to the next instance's picture, while the server is busy with what came before.
    spent = panel.desk(
        """(async () => {
            const spent = [];
            for (const key of ['a', '1', 's', 'r']) {
                const start = performance.now(), before = desk.front.label_id;
                document.querySelector('.ovsam-review')
                    .dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
                const shown = () => document.querySelector('[alt="the instance"]')?.src;
                while (desk.front.label_id === before || shown() !== desk.shown?.picture) {
                    await new Promise(requestAnimationFrame);
                }
                spent.push(performance.now() - start);
            }
            return spent;
        })()"""
    )
    assert max(spent) < SOON, spent
    panel.settle()
    reviews = [state(labelled, i)[1] for i in waiting]
    assert reviews == ["accepted", "accepted", None, "rejected", None, None]
    # Presses before there is anything to see wait for it.
    panel.desk("desk.pictures.clear()")
    page.locator(".ovsam-review").focus()
    page.keyboard.press("a")
    page.keyboard.press("a")
    assert panel.desk("desk.presses.length") == 2
    panel.desk("desk.fetch()")
    panel.settle()
    assert [state(labelled, i)[1] for i in waiting[4:]] == ["accepted"] * 2


def test_a_decision_whose_answer_is_lost_is_sent_again(
    labelled: fo.Dataset, open_app: Callable[[fo.Dataset], Any]
) -> None:
    page = open_app(labelled)
    panel = Review(page)
    first, second, *_ = panel.ahead
    panel.wait("desk.pictures.size === 6 && [...desk.pictures.values()].every(one => one.picture)")
    page.route("**/operators/execute", lambda route: route.abort())
    panel.desk("desk.recount()")  # as for a dataset that is loaded again: it is no decision
    page.locator(".ovsam-review").focus()
    page.keyboard.press("a")
    page.keyboard.press("r")
    page.get_by_text("2 decisions are waiting and will be sent again").wait_for()
    assert state(labelled, first)[1] is None
    page.unroute("**/operators/execute")
    panel.settle()
    assert [state(labelled, i)[1] for i in (first, second)] == ["accepted", "rejected"]
    panel.press("u")
    assert [state(labelled, i)[1] for i in (first, second)] == ["accepted", None]
    panel.see(second)


def test_a_bar_that_is_clicked_filters_the_queue(
    labelled: fo.Dataset, open_app: Callable[[fo.Dataset], Any]
) -> None:
    page = open_app(labelled)
    panel = Review(page)
    page.get_by_text("spoon in coffee.png").wait_for()
    page.locator("[data-bar=cup]").click()
    page.get_by_text("cup in chelsea.png").wait_for()
    assert len(panel.ahead) == 2
    panel.press("n")
    page.keyboard.type("mug")
    page.keyboard.press("Enter")
    page.get_by_text("1 of 6 decided").wait_for()
    panel.settle()
    assert len(panel.ahead) == 1
    panel.click("Show everything")
    page.get_by_text("spoon in coffee.png").wait_for()


def test_the_queue_follows_the_grid_and_one_instance_is_shown_alone(
    labelled: fo.Dataset, ids: dict[str, str], open_app: Callable[[fo.Dataset], Any]
) -> None:
    page = open_app(labelled)
    panel = Review(page)
    cats = labelled.match(fo.ViewField("filepath").ends_with("chelsea.png"))
    stages = json.dumps(cats._serialize())
    page.evaluate(f"window.__foo__.executeOperator('set_view', {{ view: {stages} }})")
    page.get_by_text("0 of 3 decided").wait_for()
    panel.settle()
    assert set(panel.ahead) == {ids["dog"], ids["cup"], ids["cat"]}
    panel.see(ids["dog"])

    panel.press("g")
    page.get_by_text("1 sample", exact=True).wait_for()
    page.wait_for_timeout(1000)
    assert len(panel.ahead) == 3
    panel.press("a")
    assert state(labelled, ids["dog"])[1] == "accepted"
    panel.press("w")
    panel.wait("!desk.before")
    page.wait_for_timeout(1000)
    assert set(panel.ahead) == {ids["cup"], ids["cat"]}


def test_those_that_look_alike_are_decided_as_one(
    named: fo.Dataset, open_app: Callable[[fo.Dataset], Any]
) -> None:
    page = open_app(named)
    panel = Review(page)
    panel.press("l")
    page.locator(".ovsam-set img").first.wait_for()
    members = panel.desk("desk.set.members")
    assert len(members) == 8
    chosen = [one["label_id"] for one in members if one["chosen"]]
    page.locator(".ovsam-set img").nth(0).click()
    changed = members[0]["label_id"]
    chosen = sorted({*chosen} ^ {changed})
    (first, *_) = panel.ahead
    panel.press("r")
    rejected = [i for i, label in stored(named).items() if label.get("review") == "rejected"]
    assert sorted(rejected) == sorted([first, *chosen])
    panel.press("u")
    assert not [label for label in stored(named).values() if label.get("review")]


def test_what_was_decided_is_applied_from_the_panel(
    named: fo.Dataset, open_app: Callable[[fo.Dataset], Any]
) -> None:
    page = open_app(named)
    panel = Review(page)
    assert not page.get_by_role("button", name="Apply what I decided").count()
    panel.press("a")
    page.get_by_role("button", name="Apply what I decided").click()
    # The form says what it would be worth, or what is missing, before anything is written.
    page.get_by_text("are too few to learn from").first.wait_for()
    assert "ovsam_learned" not in named.get_field_schema()


def test_what_is_wrongly_cut_out_is_redrawn_in_segment(
    dataset: fo.Dataset, found: list[Entry], open_app: Callable[[fo.Dataset], Any]
) -> None:
    page = open_app(dataset)
    panel = Review(page)
    first, second, *_ = panel.ahead
    before = stored(dataset)[second]["mask"]
    panel.press("s")
    panel.see(second)
    panel.press("d")
    segment = Panel(page)
    segment.wait(f"desk.sheet?.held?.id === '{second}' && desk.image")
    sample = next(e.sample_id for e in found if e.label_id == second)
    assert segment.desk("desk.sheet.id") == sample
    width, height = segment.desk("desk.sheet.size")
    segment.drag(width * 0.3, height * 0.2, width * 0.7, height * 0.8)
    segment.press("Enter")
    eventually(lambda: stored(dataset)[second]["mask"] != before, "it was not redrawn")
    assert stored(dataset)[second]["review"] in ("accepted", "renamed")
    assert len(stored(dataset)) == 3
    # What is decided by that leaves the queue.
    page.get_by_text("1 of 3 decided").wait_for()
    assert second not in panel.ahead


def test_the_review_follows_the_fields_of_the_dataset(
    named: fo.Dataset, open_app: Callable[[fo.Dataset], Any]
) -> None:
    page = open_app(named)
    panel = Review(page)
    named.clone_sample_field(FIELD, "other")
    page.evaluate("window.__foo__.executeOperator('reload_dataset')")
    panel.wait("desk.fields.includes('other')")
    panel.settle()

    # Removed where this App does not hear of it: by the first decision it does.
    remove_run(named, FIELD)
    panel.press("a")
    page.get_by_text("there is no field 'ovsam'").wait_for()
    panel.wait("desk.field === 'asks' && !desk.fields.includes('ovsam')")
    page.locator("#ovsam-review-field").select_option("other")
    panel.wait("desk.shown")
    panel.press("a")
    assert named.reload() is None
    assert progress(named, "other").accepted == 1

    named.delete_sample_field("other")
    page.evaluate("window.__foo__.executeOperator('reload_dataset')")
    panel.wait("desk.field === 'asks' && !desk.fields.includes('other')")


def test_the_review_follows_what_is_scored_and_decided_beside_it(
    found: list[Entry], dataset: fo.Dataset, open_app: Callable[[fo.Dataset], Any]
) -> None:
    page = open_app(dataset)
    panel = Review(page)
    assert panel.desk("desk.session.order") == "confidence"
    score_run(dataset)
    page.evaluate("window.__foo__.executeOperator('reload_dataset')")
    panel.wait("desk.session?.order === 'suggested'")
    panel.settle()

    # An order that a person chose stays.
    page.locator("#ovsam-review-order").select_option("margin")
    panel.wait("desk.session?.order === 'margin'")
    panel.settle()
    front = panel.ahead[0]
    accept(dataset, FIELD, front)
    page.evaluate("window.__foo__.executeOperator('reload_dataset')")
    page.get_by_text("1 of 3 decided").wait_for()
    panel.settle()
    assert front not in panel.ahead
    assert panel.desk("desk.session.order") == "margin"
