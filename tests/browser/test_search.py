"""FiftyOne's own text search, over the instances of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fiftyone as fo
import pytest

from ovsam_plugin import label_dataset

# Boxes (relative) around the woman, the cup and the cat.
BOXES = ([0.03, 0.01, 0.69, 0.99], [0.27, 0.05, 0.42, 0.6], [0.1, 0.0, 0.78, 1.0])


@pytest.fixture
def cat_last(images: list[Path]) -> Iterator[fo.Dataset]:
    """One instance a photograph; the cat's comes last, so that a search has to move it."""
    made = fo.Dataset()
    for path, box in zip(reversed(images), BOXES):
        asked = fo.Detections(detections=[fo.Detection(bounding_box=box)])
        made.add_sample(fo.Sample(filepath=str(path), boxes=asked))
    label_dataset(made, vocabulary="cat, cup, person", box_field="boxes", device="cpu", workers=0)
    yield made
    made.delete()


def test_words_bring_the_instance_that_they_describe_to_the_front(
    cat_last: fo.Dataset, open_app: Callable[[fo.Dataset], Any]
) -> None:
    names = cat_last.values("ovsam.detections.label", unwind=True)
    assert names == ["person", "cup", "cat"]
    assert cat_last.list_brain_runs() == ["ovsam_similarity"]
    page = open_app(cat_last)
    page.locator("[data-cy=action-clips-patches]").click()
    page.get_by_text("ovsam", exact=True).last.click()
    page.get_by_text("3 patches", exact=True).wait_for()
    shown = page.locator("[data-cy=looker] [data-cy=tag-ovsam]")
    shown.nth(2).wait_for()
    assert shown.all_inner_texts() == names

    page.locator("[data-cy=action-sort-by-similarity]").click()
    words = page.get_by_placeholder("Type anything!")
    words.fill("a cat")
    words.press("Enter")
    # The search is a run of FiftyOne's panel. Its list can be reordered by dragging, and items that
    # stay in place are marked as disabled, though they can be clicked.
    page.get_by_text("3 results", exact=True).wait_for()
    page.get_by_label("Show results").first.click(force=True)
    page.get_by_text("Showing 3 results").wait_for()
    page.wait_for_function(
        "document.querySelector('[data-cy=looker] [data-cy=tag-ovsam]')?.innerText === 'cat'"
    )
    found = cat_last.match_labels(fields="ovsam", filter=fo.ViewField("label") == "cat")
    assert [Path(path).name for path in found.values("filepath")] == ["chelsea.png"]
