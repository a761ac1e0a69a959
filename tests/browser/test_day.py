"""A curator's day in one sitting: judged, corrected, reviewed, exported, renamed, removed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
import pytest

from tests.browser.panel import eventually, painted
from tests.browser.test_curation import execute, operate, stored
from tests.browser.test_review import Review

FIELD, TRUTH = "ovsam", "asks"


@pytest.fixture
def judged(named: fo.Dataset) -> tuple[fo.Dataset, str, str]:
    """Truth that is what the model says, but for one label; its id, and the name it should have."""
    named.compute_metadata(num_workers=1, progress=False)
    sure: dict[str, Any] = {}
    for sample in named.iter_samples(autosave=True):
        found = {label.prompt_id: label for label in sample[FIELD].detections}
        width, height = sample.metadata.width, sample.metadata.height
        for label in sample[TRUTH].detections:
            _, _, w, h = label.bounding_box
            label.mask = np.ones((round(h * height), round(w * width)), dtype=bool)
            label.label = found[label.id].label
            sure[label.id] = found[label.id]
    wrong = max(sure, key=lambda label_id: sure[label_id].confidence)
    right = sure[wrong].label
    other = next(name for name in ("cat", "cup", "person", "spoon") if name != right)
    named.set_label_values(f"{TRUTH}.detections.label", {wrong: other})
    return named, wrong, right


def choose(page: Any, now: str, then: str) -> None:
    """Another choice in a form's menu."""
    page.get_by_text(now, exact=True).last.click()
    page.get_by_text(then, exact=True).last.click()


def fill(page: Any, question: str, text: str) -> None:
    """What is typed into the box below a form's question."""
    asked = page.locator(".MuiDialog-root").get_by_text(question, exact=True).last
    asked.locator("xpath=following::input[1]").fill(text)


def done(page: Any, told: str) -> None:
    """The outcome is shown, and put away."""
    page.get_by_text(told).first.wait_for()
    page.keyboard.press("Escape")
    page.locator(".MuiDialog-root").first.wait_for(state="detached")


def test_a_day_takes_no_step_that_needs_python(
    judged: tuple[fo.Dataset, str, str], open_app: Callable[[fo.Dataset], Any], tmp_path: Path
) -> None:
    dataset, wrong, right = judged
    page = open_app(dataset)
    page.get_by_text("3 samples", exact=True).wait_for()

    operate(page, "Evaluate Open-Vocabulary SAM")
    execute(page)
    done(page, "Instances evaluated")
    dataset.reload()
    (key,) = dataset.list_evaluations()
    assert dataset.load_evaluation_results(key).metrics()["accuracy"] == pytest.approx(8 / 9)

    operate(page, "Find rare, novel, unknown or doubtful instances")
    choose(
        page,
        "The most doubtful, not reviewed yet",
        "Likely mistakes in the ground truth, from an evaluation",
    )
    execute(page)
    done(page, "1 instance")
    # In front of the evaluation.
    page.get_by_text("1 patch", exact=True).wait_for()
    operate(page, "Decide on what is selected")
    choose(page, "Accept: the names are right", "Take the model's names, from an evaluation")
    execute(page)
    done(page, "1 given the model's name")
    labels = [d for s in dataset._sample_collection.find() for d in s[TRUTH]["detections"]]
    (taken,) = [label for label in labels if str(label["_id"]) == wrong]
    assert (taken["label"], taken["review"]) == (right, "renamed")

    operate(page, "Relabel over another vocabulary")
    page.get_by_text("the grid shows single instances or frames, not photographs").wait_for()
    page.get_by_role("button", name="Cancel").click()
    operate(page, "Clear view bar")
    page.get_by_text("3 samples", exact=True).wait_for()
    operate(page, "Relabel over another vocabulary")
    choose(page, "LVIS: 1,203 everyday things", "My own names")
    fill(page, "Names", "tabby cat, mug, astronaut")
    fill(page, "New field", "other_names")
    execute(page)
    done(page, "With a different name than before")
    before, after = stored(dataset), stored(dataset, "other_names")
    assert len(after) == len(before) == 9
    assert {name for name, _ in after} <= {"tabby cat", "mug", "astronaut"}

    operate(page, "Name the instances of a field")
    fill(page, "Field with the instances", TRUTH)
    page.get_by_role("option", name=TRUTH, exact=True).click()
    choose(page, "LVIS: 1,203 everyday things", "My own names")
    fill(page, "Names", "cat, cup, person, spoon")
    execute(page)
    page.get_by_text("Instances named").first.wait_for(timeout=240_000)
    done(page, "Instances named")
    asked = [d["_id"] for s in dataset._sample_collection.find() for d in s[TRUTH]["detections"]]
    made = [d for s in dataset._sample_collection.find() for d in s[f"{TRUTH}_named"]["detections"]]
    assert {label["prompt_id"] for label in made} == {str(each) for each in asked}
    assert all(label["label"] in ("cat", "cup", "person", "spoon") for label in made)

    operate(page, "Set up the curation workspace")
    execute(page)
    done(page, "Saved views")
    # The open App has it at once: the panels, beside all photographs.
    page.locator(".ovsam-review").wait_for()
    page.get_by_text("3 samples", exact=True).wait_for()
    page.locator("[data-cy='sidebar-group-entry-ovsam run' i]").wait_for()
    dataset.reload()
    assert dataset.list_workspaces() == ["OVSAM curation"]

    panel = Review(page)
    # Of all three photographs: each is drawn for itself.
    eventually(
        lambda: len(painted(page)) == 3 and min(painted(page)) > 0, "not all labels are drawn"
    )
    drawn = painted(page)
    panel.press(*"aaaaaaaaa")
    assert [review for _, review in stored(dataset)] == ["accepted"] * 9
    # Labels stay drawn, however often a panel beside them has changed.
    page.wait_for_timeout(1000)
    assert painted(page) == drawn

    path = tmp_path / "clean.json"
    operate(page, "Export reviewed instances")
    page.locator(".MuiDialog-root input.MuiInputBase-input").first.fill(str(path))
    page.get_by_text("will hold 9 instances on 3 photographs").wait_for()
    execute(page)
    done(page, "Written to")
    written = json.loads(path.read_text())
    names = {category["id"]: category["name"] for category in written["categories"]}
    exported = sorted(names[one["category_id"]] for one in written["annotations"])
    assert exported == sorted(str(name) for name, _ in stored(dataset))

    operate(page, "Remove a run")
    page.locator(".MuiDialog-root [role=combobox]").first.click()
    page.get_by_role("option", name=FIELD, exact=True).click()
    page.get_by_text("Yes, remove all of this").click()
    execute(page)

    def gone() -> bool:
        dataset.reload()
        return dataset.get_field(FIELD) is None

    eventually(gone, "the run was not removed")
    page.locator(f"[data-cy=checkbox-{FIELD}]").first.wait_for(state="detached")
    page.locator("[data-cy='sidebar-group-entry-ovsam run' i]").wait_for(state="detached")
    dataset.reload()
    assert not dataset.list_evaluations()
    assert not dataset.list_saved_views()
    assert not dataset.list_workspaces()
    # What was taken into the truth is the truth's own, and stays.
    assert sum(review == "renamed" for _, review in stored(dataset, TRUTH)) == 1
