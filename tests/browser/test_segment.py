"""The panel "Segment" as a person uses it: mouse and keys in a browser, and what they leave."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from tests.browser.panel import CAT, NAMES, eventually, labels, show

FUR, WALL = (330, 250), (430, 150)
LARGE = (6000, 4000)


def whole_mask(label: dict[str, Any], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """The label's mask where FiftyOne draws it, on a photograph of (height, width)."""
    detection = fo.Detection.from_dict(label)
    return np.asarray(detection.to_segmentation(frame_size=size[::-1], target=1).mask, dtype=bool)


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


@pytest.fixture
def large(tmp_path: Path, photographs: dict[str, Path]) -> Iterator[fo.Dataset]:
    """The woman on 24 million pixels."""
    with Image.open(photographs["astronaut.png"]) as image:
        image.resize(LARGE).save(tmp_path / "large.jpg", quality=90)
    made = fo.Dataset()
    made.add_images([str(tmp_path / "large.jpg")])
    yield made
    made.delete()


def test_what_is_clicked_is_shown_named_and_added_where_it_lies(
    dataset: fo.Dataset, open_app: Callable[[fo.Dataset], Any]
) -> None:
    page = open_app(dataset)
    panel = show(page, (451, 300))
    panel.type("#ovsam-names", NAMES)
    panel.move(*CAT)
    panel.wait("desk.hovered?.best === 'cat'")
    assert panel.steps == []
    # Each number says what it is of.
    sure, whole = panel.desk("[desk.hovered.names[0][1], desk.hovered.objectness]")
    said = panel.desk("desk.hovered.said('cat')")
    assert said == f"cat · confidence {sure:.2f}, objectness {whole:.2f}"
    assert panel.desk("desk.hovered.said('my cat')") == f"my cat · objectness {whole:.2f}"

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
    panel = show(page, (451, 300))
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
    panel = show(page, (451, 300))
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
    assert 'Nothing here matches "a fire engine"' in panel.notice


def test_a_turned_photograph_is_clicked_as_it_is_seen(
    turned: fo.Dataset, open_app: Callable[[fo.Dataset], Any]
) -> None:
    panel = show(open_app(turned), (451, 300))
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
    panel = show(page, (451, 300))
    panel.click(*WALL, button="right")
    assert "To take away, click on the instance" in panel.notice

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
    # The server knows more of it than the browser.
    assert "is not an image" in panel.notice
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


def test_a_large_photograph_is_zoomed_moved_and_clicked_where_it_is_seen(
    large: fo.Dataset, open_app: Callable[[fo.Dataset], Any]
) -> None:
    page = open_app(large)
    panel = show(page, LARGE)
    face = (220 * LARGE[0] // 512, 120 * LARGE[1] // 512)
    scale = panel.desk("desk.sheet.view.scale")

    # The wheel zooms about the mouse, the middle button moves, and F shows all again.
    panel.move(*face)
    left, top = map(round, panel.desk(f"desk.clientOf([{face[0]}, {face[1]}])"))
    under = "desk.place({ clientX: %d, clientY: %d })"
    page.mouse.move(left, top)
    before = panel.desk(under % (left, top))
    page.mouse.wheel(0, -800)
    panel.wait(f"desk.sheet.view.scale > 4 * {scale}")
    assert panel.desk(under % (left, top)) == pytest.approx(before, abs=1)
    page.mouse.down(button="middle")
    page.mouse.move(left + 60, top + 40)
    page.mouse.up(button="middle")
    assert panel.desk(under % (left + 60, top + 40)) == pytest.approx(before, abs=1)
    assert panel.steps == []

    panel.click(*face)
    ((x, y, on),) = panel.steps[-1]["points"]
    assert abs(x - face[0]) <= 8
    assert abs(y - face[1]) <= 8
    assert on == 1
    panel.press("f")
    assert panel.desk("desk.sheet.view.scale") == pytest.approx(scale)
    panel.press("Enter")
    (label,) = labels(large)
    mask = whole_mask(label, LARGE[::-1])
    assert mask.shape == LARGE[::-1]
    assert mask[face[1], face[0]]


def test_a_network_that_does_not_load_is_told_and_asked_again(
    dataset: fo.Dataset, open_app: Callable[[fo.Dataset], Any]
) -> None:
    page = open_app(dataset)
    refused = {"result": {"problem": "the weights are not on this machine"}}
    pictures: list[Any] = []

    def answer(route: Any) -> None:
        asks = "segment_look" in (route.request.post_data or "")
        route.fulfill(json=refused) if asks else route.continue_()

    page.locator("[data-cy=looker]").nth(2).wait_for()
    page.route("**/operators/execute", answer)
    page.route("**/media*", lambda route: pictures.append(route))
    panel = show(page)
    panel.wait("desk.sheet")
    page.wait_for_timeout(1000)
    # The photograph comes after the answer.
    page.unroute("**/media*")
    for picture in pictures:
        picture.continue_()
    panel.wait("desk.image")
    panel.wait("desk.notice.includes('weights are not on this machine')")
    assert panel.desk("!!desk.image")
    page.unroute("**/operators/execute")
    panel.press("ArrowRight")
    panel.wait_for_photograph((600, 400))
    panel.press("ArrowLeft")
    panel.wait_for_photograph((451, 300))
    panel.click(*CAT)
    assert len(panel.steps) == 1


def test_a_photograph_fits_its_place_until_a_person_moves_it(
    dataset: fo.Dataset, open_app: Callable[[fo.Dataset], Any]
) -> None:
    page = open_app(dataset)
    panel = show(page, (451, 300))
    fits = "Math.abs(desk.sheet.view.scale * desk.sheet.size[0] - desk.base.width) < 2"
    panel.wait(fits)
    panel.press("ArrowRight")
    panel.wait_for_photograph((600, 400))
    before = panel.desk("desk.base.width")
    page.set_viewport_size({"width": 1200, "height": 1100})
    panel.wait(f"desk.base.width < {before} && {fits}")
    panel.press("ArrowLeft")
    panel.wait_for_photograph((451, 300))
    panel.wait(fits)

    # The names have their place below in a tall panel, and beside the photograph in a wide one.
    assert panel.desk("desk.stage.clientWidth > desk.root.clientWidth - 20")
    page.set_viewport_size({"width": 1600, "height": 600})
    panel.wait("desk.stage.clientWidth < desk.root.clientWidth - 170")

    panel.move(*CAT)
    page.mouse.wheel(0, -400)
    panel.wait("desk.sheet.moved")
    scale = panel.desk("desk.sheet.view.scale")
    panel.press("ArrowRight")
    panel.wait_for_photograph((600, 400))
    panel.press("ArrowLeft")
    panel.wait_for_photograph((451, 300))
    assert panel.desk("desk.sheet.view.scale") == pytest.approx(scale)


def test_a_name_at_the_right_edge_is_read_to_its_end(
    dataset: fo.Dataset, open_app: Callable[[fo.Dataset], Any]
) -> None:
    box = fo.Detection(label="a thing of many words", bounding_box=[0.85, 0.4, 0.1, 0.2])
    sample = dataset.first()
    sample["clicked"] = fo.Detections(detections=[box])
    sample.save()
    page = open_app(dataset)
    page.evaluate(
        """() => {
            const { prototype } = CanvasRenderingContext2D, fill = prototype.fillRect;
            window.filled = [];
            prototype.fillRect = function (x, y, wide, high) {
                window.filled.push([x, x + wide, this.canvas.width]);
                fill.call(this, x, y, wide, high);
            };
        }"""
    )
    panel = show(page, (451, 300))
    panel.click(405, 150)
    panel.wait("desk.sheet.held && window.filled.length")
    assert all(0 <= left < right <= width for left, right, width in page.evaluate("filled"))
