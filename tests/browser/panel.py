"""The panel "Segment" in a page, as a person's mouse and keys reach it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

FIELD = "clicked"
"""What the panel adds to on a dataset without fields."""


NAMES = "cat, cup, person, spoon"
CAT = (230, 120)
"""A place on the first photograph's cat."""


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


def show(page: Any, size: tuple[int, int] | None = None) -> Panel:
    """Opens the panel beside the grid, and waits for a photograph of this size, if one is given."""
    page.locator("[data-cy=new-panel-btn]").first.click()
    page.get_by_text("OVSAM segment").first.click()
    panel = Panel(page)
    if size is not None:
        panel.wait_for_photograph(size)
    return panel


def labels(dataset: Any) -> list[dict[str, Any]]:
    """All labels of FIELD, as the database has them."""
    found = dataset._sample_collection.find({}, {FIELD: True})
    return [label for one in found for label in (one.get(FIELD) or {}).get("detections") or ()]


def painted(page: Any) -> list[int]:
    """Of each photograph in the grid, the sum of its pixels with the labels over them."""
    sums: list[int] = page.evaluate(
        """[...document.querySelectorAll('[data-cy=looker] canvas')].map(canvas => {
            const drawn = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
            return drawn.data.reduce((sum, value) => sum + value, 0);
        })"""
    )
    return sums


def eventually(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.1)
