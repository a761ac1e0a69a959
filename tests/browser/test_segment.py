"""The panel "Segment" as a person uses it: mouse and keys in a browser, and what they leave."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

FIELD = "clicked"
NAMES = "cat, cup, person, spoon"
CAT, FUR, WALL = (230, 120), (330, 250), (430, 150)


class Panel:
    """The panel in a page, addressed in pixels of its photograph."""

    def __init__(self, page: Any) -> None:
        self.page = page

    def desk(self, code: str) -> Any:
        """A JavaScript expression over `desk`, what the script keeps of the mounted panel."""
        found = "(desk => {})(document.querySelector('.ovsam-segment').ovsam)"
        return self.page.evaluate(found.replace("{}", code))

    def wait(self, code: str) -> None:
        ready = f"document.querySelector('.ovsam-segment')?.ovsam && {code}"
        desk = "const desk = document.querySelector('.ovsam-segment')?.ovsam; return "
        self.page.wait_for_function(f"(() => {{ {desk}{ready} }})()", timeout=120_000)

    def wait_for_photograph(self, size: tuple[int, int]) -> None:
        width, height = size
        same = f"desk.sheet.size[0] === {width} && desk.sheet.size[1] === {height}"
        self.wait(f"desk.sheet?.ready && desk.image && {same}")

    def settled(self) -> None:
        self.wait("desk.busy === 0 && (!desk.step || desk.step.shape)")

    def move(self, x: float, y: float) -> None:
        left, top = self.desk(f"desk.clientOf([{x}, {y}])")
        self.page.mouse.move(left, top)

    def click(self, x: float, y: float, *, button: str = "left") -> None:
        self.move(x, y)
        self.page.mouse.click(*self.desk(f"desk.clientOf([{x}, {y}])"), button=button)
        self.settled()

    def drag(self, x1: float, y1: float, x2: float, y2: float, *, button: str = "left") -> None:
        self.move(x1, y1)
        self.page.mouse.down(button=button)
        self.move((x1 + x2) / 2, (y1 + y2) / 2)
        self.move(x2, y2)
        self.page.mouse.up(button=button)
        self.settled()

    def press(self, key: str) -> None:
        if key.startswith("Arrow"):
            self.wait("desk.beside")
        self.page.locator(".ovsam-segment").focus()
        self.page.keyboard.press(key)
        self.settled()

    def type(self, box: str, text: str) -> None:
        self.page.locator(box).fill(text)
        self.page.locator(box).press("Enter")
        self.settled()

    @property
    def steps(self) -> list[dict[str, Any]]:
        """What is asked now."""
        return list(self.desk("desk.sheet.steps.map(step => step.prompt)"))

    @property
    def notice(self) -> str:
        return str(self.desk("desk.notice"))


def show(page: Any) -> Panel:
    """Opens the panel beside the grid."""
    page.locator("[data-cy=new-panel-btn]").first.click()
    page.get_by_text("OVSAM segment").first.click()
    return Panel(page)


def labels(dataset: fo.Dataset) -> list[dict[str, Any]]:
    """All labels of the field, as the database has them."""
    found = dataset._sample_collection.find({}, {FIELD: True})
    return [label for one in found for label in (one.get(FIELD) or {}).get("detections") or ()]


def whole_mask(label: dict[str, Any], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """The label's mask where FiftyOne draws it, on a photograph of (height, width)."""
    detection = fo.Detection.from_dict(label)
    return np.asarray(detection.to_segmentation(frame_size=size[::-1], target=1).mask, dtype=bool)


def eventually(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.1)


@pytest.fixture
def turned(tmp_path: Path, photographs: dict[str, Path]) -> Iterator[fo.Dataset]:
    """The cat, stored on its side as phones do."""
    exif = Image.Exif()
    exif[0x0112] = 6
    seen = Image.open(photographs["chelsea.png"]).convert("RGB")
    stored = seen.transpose(Image.Transpose.ROTATE_90)
    stored.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    made = fo.Dataset()
    made.add_images([str(tmp_path / "turned.jpg")])
    yield made
    made.delete()


def test_what_is_clicked_is_shown_named_and_added_where_it_lies(
    dataset: fo.Dataset, open_app: Callable[[fo.Dataset], Any]
) -> None:
    page = open_app(dataset)
    panel = show(page)
    panel.wait_for_photograph((451, 300))
    panel.type("#ovsam-names", NAMES)
    panel.move(*CAT)
    panel.wait("desk.hovered?.best === 'cat'")
    assert panel.steps == []

    panel.click(*CAT)
    panel.click(*FUR)
    assert [on for *_, on in panel.steps[-1]["points"]] == [1, 1]
    panel.click(*WALL, button="right")
    placed = np.round(panel.steps[-1]["points"])
    assert np.abs(placed - [[*CAT, 1], [*FUR, 1], [*WALL, 0]]).max() <= 1
    panel.press("z")
    assert len(panel.steps) == 2
    page.get_by_role("button", name="1 cat").wait_for()
    assert labels(dataset) == []

    # Another tab in its place, and back: what was clicked is still there.
    page.locator("[data-cy=new-panel-btn]").last.click()
    page.get_by_text("OVSAM review").first.click()
    page.locator(".ovsam-segment").wait_for(state="detached")
    page.get_by_text("OVSAM segment").first.click()
    panel.wait_for_photograph((451, 300))
    assert len(panel.steps) == 2

    panel.press("Enter")
    (label,) = labels(dataset)
    mask = whole_mask(label, (300, 451))
    assert mask[CAT[1], CAT[0]]
    assert mask[FUR[1], FUR[0]]
    assert not mask[WALL[1], WALL[0]]
    assert (label["label"], label["review"], label["prompt_type"]) == ("cat", "accepted", "point")
    assert np.abs(np.array(label["prompt"]) - [*CAT, 1, *FUR, 1]).max() <= 1
    assert label["reviewed_by"]
    assert 0 < label["objectness"] <= 1
    assert panel.steps == []

    # A box, and a name of the person's own.
    panel.press("ArrowRight")
    panel.wait_for_photograph((600, 400))
    panel.drag(160, 20, 415, 260)
    assert np.abs(np.array(panel.steps[-1]["box"]) - [160, 20, 415, 260]).max() <= 1
    panel.type("#ovsam-name", "espresso")
    eventually(lambda: len(labels(dataset)) == 2, "the second was not added")
    second = labels(dataset)[1]
    assert (second["label"], second["review"]) == ("espresso", "renamed")
    assert second["predicted_label"] == "cup"
    assert second["prompt_type"] == "box"

    # An instance that is there is taken up by a click, renamed, redrawn and deleted.
    panel.click(290, 190)
    assert panel.desk("desk.sheet.held.label") == "espresso"
    panel.press("1")
    panel.press("Enter")
    assert [label["label"] for label in labels(dataset)] == ["cat", "cup"]
    panel.click(290, 190)
    panel.press("Escape")
    assert panel.desk("desk.sheet.held") is None
    panel.click(290, 190)
    panel.press("Delete")
    assert [label["label"] for label in labels(dataset)] == ["cat"]


def test_an_instance_is_painted_and_merged(
    dataset: fo.Dataset, open_app: Callable[[fo.Dataset], Any]
) -> None:
    page = open_app(dataset)
    panel = show(page)
    panel.wait_for_photograph((451, 300))
    panel.type("#ovsam-names", NAMES)
    panel.click(*CAT)
    panel.press("b")
    panel.drag(230, 120, 260, 120, button="right")
    panel.drag(430, 20, 430, 60)
    assert panel.desk("desk.step.prompt.mask.runs.length") > 2
    panel.press("b")
    panel.press("Enter")
    (label,) = labels(dataset)
    mask = whole_mask(label, (300, 451))
    assert label["prompt_type"] == "mask"
    assert not mask[120, 245]
    assert mask[40, 430]
    assert mask[FUR[1], FUR[0]]

    page.keyboard.down("Alt")
    panel.click(245, 120)
    page.keyboard.up("Alt")
    panel.press("Tab")
    panel.press("Enter")
    assert len(labels(dataset)) == 2
    panel.click(430, 40)
    panel.press("m")
    assert "point at another" in panel.notice
    panel.move(245, 120)
    panel.press("m")
    panel.press("Enter")
    (merged,) = labels(dataset)
    assert merged["_id"] == label["_id"]
    mask = whole_mask(merged, (300, 451))
    assert mask[120, 245]
    assert mask[40, 430]


def test_what_is_found_all_over_is_taken_up(
    dataset: fo.Dataset, open_app: Callable[[fo.Dataset], Any]
) -> None:
    page = open_app(dataset)
    panel = show(page)
    panel.wait_for_photograph((451, 300))
    panel.press("ArrowRight")
    panel.wait_for_photograph((600, 400))
    panel.type("#ovsam-names", NAMES)
    panel.press("e")
    assert panel.desk("desk.sheet.found.map(one => one.best)").count("cup") >= 1
    panel.click(290, 190)
    assert panel.steps[-1]["box"]
    panel.press("Enter")
    assert [label["label"] for label in labels(dataset)] == ["cup"]
    panel.press("Escape")
    panel.type("#ovsam-find", "a cup")
    assert panel.desk("desk.sheet.found.length") >= 1
    panel.type("#ovsam-find", "a fire engine")
    assert 'Nothing here fits "a fire engine"' in panel.notice


def test_a_turned_photograph_is_clicked_as_it_is_seen(
    turned: fo.Dataset, open_app: Callable[[fo.Dataset], Any]
) -> None:
    panel = show(open_app(turned))
    panel.wait_for_photograph((451, 300))
    assert panel.desk("[desk.image.naturalWidth, desk.image.naturalHeight]") == [451, 300]
    panel.click(*CAT)
    panel.press("Tab")
    assert len(panel.steps) in (1, 2)
    panel.press("Enter")
    (label,) = labels(turned)
    assert whole_mask(label, (300, 451))[CAT[1], CAT[0]]


def test_what_goes_wrong_is_told_and_the_panel_goes_on(
    dataset: fo.Dataset, open_app: Callable[[fo.Dataset], Any]
) -> None:
    first, second, third = dataset.values("id")
    Path(dataset[second].filepath).write_bytes(b"damaged")
    page = open_app(dataset)
    panel = show(page)
    panel.wait_for_photograph((451, 300))
    panel.click(*WALL, button="right")
    assert "Taking away needs a click" in panel.notice

    # An answer that is lost on its way.
    page.route("**/operators/execute", lambda route: route.abort())
    panel.click(*CAT)
    assert panel.notice
    assert panel.steps == []
    page.unroute("**/operators/execute")
    panel.click(*CAT)
    assert len(panel.steps) == 1
    assert panel.notice == ""

    panel.press("ArrowRight")
    panel.wait("desk.notice.length > 0 && desk.busy === 0")
    panel.wait("desk.beside")
    panel.press("ArrowRight")
    panel.wait_for_photograph((512, 512))
    panel.click(230, 380)
    dataset.delete_samples([third])
    panel.press("Enter")
    assert "no longer in the dataset" in panel.notice
    assert labels(dataset) == []
    panel.press("ArrowLeft")
    panel.wait("desk.sheet.id !== undefined && desk.busy === 0")
    panel.press("ArrowLeft")
    panel.wait_for_photograph((451, 300))
    # What was clicked there before.
    assert len(panel.steps) == 1
    panel.press("Enter")
    assert len(labels(dataset)) == 1


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
