"""Makes segment.webp, the moving picture of the panel "Segment"; by hand, after `make demo`.

    .venv/bin/python docs/film.py

The mouse is moved over two of the demo's photographs as a person would, in the system's Chromium.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from docs.screenshots import app_page, chromium, copied_demo, weigh
from tests.browser.panel import Panel, show

VIEWPORT = {"width": 1400, "height": 620}
CAT, CUP = [451, 300], [600, 400]
WIDTH, QUALITY, LARGEST = 720, 55, 1_500_000
FRAME, REST = 140, 1100  # milliseconds
# What browsers without a screen do not draw.
MOUSE = """() => {
    const mouse = document.createElement("div");
    mouse.innerHTML = `<svg width="26" height="26" viewBox="0 0 24 24"><path d="M4 2v17l4.6-4.4 2.9
        6.6 2.8-1.2-2.9-6.5H18z" fill="white" stroke="black" stroke-width="1.4"/></svg>`;
    mouse.style = "position:fixed;z-index:99999;pointer-events:none";
    document.body.append(mouse);
    document.addEventListener("mousemove", (event) => {
        mouse.style.left = `${event.clientX - 4}px`; mouse.style.top = `${event.clientY - 2}px`;
    }, true);
}"""


class Film:
    """Pictures of a panel, one after another."""

    def __init__(self, panel: Panel) -> None:
        self.panel = panel
        self.frames: list[Image.Image] = []
        self.times: list[int] = []
        self.at = (20.0, 20.0)

    def show(self, time: int = FRAME) -> None:
        """The panel as it is now, for some milliseconds."""
        picture = self.panel.page.locator(".ovsam-segment").screenshot(type="png")
        image = Image.open(io.BytesIO(picture)).convert("RGB")
        self.frames.append(image.resize((WIDTH, round(image.height * WIDTH / image.width))))
        self.times.append(time)

    def glide(self, x: float, y: float, steps: int = 6) -> None:
        """The mouse to a place of the photograph, its mask following."""
        for share in np.linspace(0, 1, steps + 1)[1:]:
            place = (self.at[0] + share * (x - self.at[0]), self.at[1] + share * (y - self.at[1]))
            self.panel.move(*place)
            self.panel.wait("!desk.asking")
            self.panel.page.wait_for_timeout(120)
            self.show()
        self.at = (x, y)

    def click(self, button: str = "left") -> None:
        """Where the mouse is."""
        self.panel.click(*self.at, button=button)
        self.panel.page.wait_for_timeout(150)
        self.show(REST)

    def press(self, key: str) -> None:
        """A key."""
        self.panel.press(key)
        self.panel.page.wait_for_timeout(400)
        self.show(REST)

    def write(self, path: Path) -> None:
        """All of it, without end."""
        first, *rest = self.frames
        first.save(
            path,
            save_all=True,
            append_images=rest,
            duration=self.times,
            loop=0,
            quality=QUALITY,
            method=6,
        )
        weigh(path, LARGEST)


def find(panel: Panel, size: list[int]) -> None:
    """Goes on to the photograph of this size."""
    for _ in range(8):
        if panel.desk("desk.sheet.size") == size:
            return
        before = panel.desk("desk.sheet.id")
        panel.press("ArrowRight")
        panel.wait(f"desk.sheet?.id !== '{before}' && desk.sheet?.ready && desk.image")


def play(page: Any) -> Film:
    """A cat, a cup and its spoon are pointed at and kept."""
    panel = show(page)
    panel.wait("desk.sheet?.ready && desk.image")
    panel.type("#ovsam-names", "coco")
    page.evaluate(MOUSE)
    find(panel, CAT)
    film = Film(panel)
    film.at = (425, 30)
    panel.move(*film.at)
    film.show(400)
    film.glide(250, 150)
    film.click()
    film.press("Enter")
    find(panel, CUP)
    film.glide(270, 140, 4)
    film.click()
    film.press("Enter")
    film.glide(383, 290)
    film.click()
    film.press("Enter")
    return film


def main() -> None:
    """Writes segment.webp beside this file."""
    with copied_demo() as dataset, chromium() as browser:
        dataset.delete_sample_fields(
            [name for name in dataset.get_field_schema() if name.startswith(("ovsam", "boxes"))]
        )
        with app_page(browser, dataset) as page:
            page.set_viewport_size(VIEWPORT)
            page.locator("[data-cy=action-toggle-sidebar]").first.click()
            play(page).write(Path(__file__).with_name("segment.webp"))


if __name__ == "__main__":
    main()
