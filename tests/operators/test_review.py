"""The panel "Review", through FiftyOne's own executor."""

from __future__ import annotations

import json
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pydash
import pytest
from fiftyone.operators.registry import OperatorRegistry

from ovsam_plugin.curation.decisions import progress

URI = "@ovsam/curation/review"
FIELD = "ovsam"


class Browser:
    """What the App does with a panel: keeps its state and data, and calls its methods."""

    def __init__(self, dataset: fo.Dataset) -> None:
        self.dataset, self.state, self.data = dataset, {}, {}
        self.requests: list[dict[str, Any]] = []
        self.shown: dict[str, Any] = {}
        self.call("on_load")

    def call(self, method: str, **params: Any) -> None:
        # Under its own key, as the App sends it: state is merged, data replaced.
        request = {"panel_id": "p", "__method__": method, "panel_state": self.state, **params}
        result = foo.execute_operator(URI, {"dataset": self.dataset, "params": request})
        assert result.error is None, result.error
        self.requests = result.executor.to_json()["requests"]
        for asked in self.requests:
            name, told = asked["operator_uri"], asked["params"]
            if name == "patch_panel_state":
                for key, value in told["state"].items():
                    pydash.set_(self.state, key, value)
            elif name == "set_panel_data":
                self.data = told["data"]
            elif name == "show_panel_output":
                self.shown = told["output"]["type"]["properties"]

    def press(self, row: str, name: str) -> None:
        """A click on a button as it was drawn."""
        view = self.find(row, name)["view"]
        self.call(view["operator"].rsplit("#", 1)[-1], **(view["params"] or {}))

    def find(self, *path: str) -> dict[str, Any]:
        found: dict[str, Any] = {"type": {"properties": self.shown}}
        for name in path:
            found = found["type"]["properties"][name]
        return found

    @property
    def instance(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.state["shown"])
        return told

    def asked(self, operator: str) -> list[dict[str, Any]]:
        return [r["params"] for r in self.requests if r["operator_uri"] == operator]


@pytest.fixture
def browser(labelled: fo.Dataset) -> Browser:
    return Browser(labelled)


def reviews(dataset: fo.Dataset) -> list[tuple[str, str]]:
    dataset.reload()
    paths = [f"{FIELD}.detections.{name}" for name in ("label", "review")]
    return [p for p in zip(*dataset.values(paths, unwind=True)) if p[1]]


def test_the_panel_loads_without_an_error_and_shows_the_first_instance(browser: Browser) -> None:
    assert OperatorRegistry().list_errors() == []
    assert browser.instance["label"] == "spoon"
    assert browser.data["instance"]["picture"].startswith("data:image/jpeg;base64,")
    assert sum(browser.data["charts"]["confidence"][0]["y"]) == 6
    assert browser.find("settings", "field")["type"]["values"] == [FIELD]
    assert browser.find("settings", "order")["type"]["values"][0] == "confidence"
    assert "0 of 6 decided" in str(browser.find("counts"))
    labels = [browser.find("instance", "side", f"name_{i}")["view"]["label"] for i in (1, 2)]
    assert labels == ["1  spoon  0.20", "2  lamp  0.05"]


def test_buttons_decide_on_the_instance_they_were_drawn_for(browser: Browser) -> None:
    browser.press("steps", "accept")
    assert browser.instance["label"] == "dog"
    view = browser.find("instance", "side", "name_3")["view"]
    browser.call(view["operator"].rsplit("#", 1)[-1], **view["params"])
    browser.press("steps", "reject")
    assert sorted(reviews(browser.dataset)) == [
        ("book", "renamed"),
        ("cup", "rejected"),
        ("spoon", "accepted"),
    ]
    assert "3 of 6 decided" in str(browser.find("counts"))
    browser.press("steps", "undo")
    assert browser.instance["label"] == "cup"
    browser.press("steps", "skip")
    assert browser.instance["label"] == "person"


def test_every_button_has_a_key_of_its_own(browser: Browser) -> None:
    keys: list[str] = []

    def collect(value: Any) -> None:
        if isinstance(value, dict):
            if "accessKey" in value:
                keys.append(value["accessKey"])
            for inner in value.values():
                collect(inner)

    browser.call("choose_class", y="cup")
    collect(browser.shown)
    assert sorted(keys) == sorted("12345ensaruwg")


def test_a_typed_name_is_offered_and_given(browser: Browser) -> None:
    browser.state["naming"] = {"name": "Do"}
    browser.call("type_name", value="Do")
    assert json.loads(browser.state["names"]) == ["dog"]
    browser.state["naming"] = {"name": " tea spoon "}
    browser.press("naming", "rename")
    assert reviews(browser.dataset) == [("tea spoon", "renamed")]
    assert browser.state["naming"]["name"] == ""


def test_without_a_name_the_panel_stays_as_it_is_and_says_why(browser: Browser) -> None:
    browser.press("naming", "rename")
    (told,) = browser.asked("notify")
    assert "Type a name first" in told["message"]
    assert not browser.asked("patch_panel_state")
    assert not browser.asked("set_panel_data")
    assert reviews(browser.dataset) == []


def test_a_name_that_cannot_be_one_is_refused_in_words(browser: Browser) -> None:
    browser.state["naming"] = {"name": "x" * 300}
    browser.press("naming", "rename")
    (told,) = browser.asked("notify")
    assert "at most 256" in told["message"]
    assert browser.instance["label"] == "spoon"
    assert reviews(browser.dataset) == []


def test_bars_filter_the_queue_and_release_it(browser: Browser) -> None:
    browser.call("choose_class", y="cup")
    assert browser.instance["label"] == "cup"
    browser.call("choose_confidence", x=0.725)
    session = json.loads(browser.state["session"])
    assert (session["classes"], session["confidence"]) == (["cup"], [0.7, 0.75])
    assert len(session["waiting"]) == 1
    assert "confidence" in str(browser.find("filters", "chosen"))
    browser.call("choose_confidence", x=0.725)
    browser.call("choose_class", y="cup")
    assert len(json.loads(browser.state["session"])["waiting"]) == 6
    browser.call("choose_class", y="cat")
    browser.press("filters", "clear")
    assert browser.instance["label"] == "spoon"


def test_the_order_can_be_chosen(browser: Browser) -> None:
    browser.call("choose_order", value="instability")
    assert browser.instance["label"] == "person"
    assert browser.state["settings"]["order"] == "instability"


def test_what_a_menu_reports_when_it_is_first_drawn_changes_nothing(browser: Browser) -> None:
    browser.press("steps", "skip")
    before = dict(browser.state)
    for method, value in (("choose_order", "confidence"), ("choose_field", FIELD)):
        browser.call(method, value=value)
        assert browser.requests == []
    assert browser.state == before


def test_events_that_come_before_the_panel_has_loaded_do_no_harm(browser: Browser) -> None:
    browser.state = {}
    for method, params in (
        ("choose_order", {"value": "margin"}),
        ("choose_field", {"value": FIELD}),
        ("choose_class", {"y": "cup"}),
        ("type_name", {"value": "c"}),
        ("undo", {}),
        ("accept", {"label_id": "0" * 24}),
        ("show_in_grid", {}),
    ):
        browser.call(method, **params)
    assert reviews(browser.dataset) == []


def test_a_button_drawn_for_another_instance_decides_nothing(
    browser: Browser, ids: dict[str, str]
) -> None:
    browser.call("pick", label_id=ids["cat"], name="lynx")
    assert reviews(browser.dataset) == []
    assert browser.instance["label"] == "spoon"


def test_show_in_the_grid_asks_the_app_for_the_sample_and_its_label(
    browser: Browser, ids: dict[str, str]
) -> None:
    browser.press("steps", "grid")
    (view,) = browser.asked("set_view")
    assert browser.instance["sample_id"] in str(view)
    (labels,) = browser.asked("set_selected_labels")
    assert labels["labels"][0]["label_id"] == ids["spoon"]
    browser.press("steps", "whole")
    assert browser.asked("clear_view")


def test_the_end_of_the_queue_says_so_and_can_be_undone(
    browser: Browser, ids: dict[str, str]
) -> None:
    for _ in range(6):
        browser.press("steps", "accept")
    assert browser.state["shown"] == "null"
    assert "done" in browser.shown
    assert progress(browser.dataset, FIELD).open == 0
    browser.press("steps", "undo")
    assert browser.instance["label_id"] == ids["cat"]
    browser.press("steps", "undo")
    assert progress(browser.dataset, FIELD).open == 2


def test_undoing_nothing_is_said(browser: Browser) -> None:
    browser.press("steps", "undo")
    (told,) = browser.asked("notify")
    assert "no decision of yours" in told["message"]


def test_a_dataset_without_instances_says_what_to_do(dataset: fo.Dataset) -> None:
    browser = Browser(dataset)
    assert "run the operator `label` first" in str(browser.find("problem_text"))
    browser.call("on_change_dataset")


def test_a_field_without_scores_leaves_the_choice_of_another(labelled: fo.Dataset) -> None:
    labelled.add_sample_field("boxes", fo.EmbeddedDocumentField, embedded_doc_type=fo.Detections)
    browser = Browser(labelled)
    browser.call("choose_field", value="boxes")
    assert "has a score to sort by" in str(browser.find("problem_text"))
    browser.call("choose_field", value=FIELD)
    assert browser.instance["label"] == "spoon"
