"""How long the panel "Segment" takes, in a real browser before a real App.

    python benchmarks/segment.py [--moves 100] [--clicks 100]

"First answer" runs from the arrow key to the first mask that is drawn, on a photograph that was
encoded ahead while the one before it was shown, or that nobody has seen before; "move to
mask" from the mouse's event to the mask on the canvas, one after another; "click to names" from the
click to its names. The model is loaded before. It needs Chromium, and a database of its own is
started. FIFTYONE_PLUGINS_CACHE_ENABLED is on, as the README advises.
"""

from __future__ import annotations

import argparse
import atexit
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
HOME = Path(tempfile.mkdtemp(prefix="ovsam-segment-"))
SIZES = (*[(640, 480)] * 4, *[(6000, 4000)] * 3)
# Which are visited in turn: the next one was encoded ahead, one further on was not.
VISITS = (1, 3, 4, 6)


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def start_database() -> str:
    """The address of a database of this benchmark's own."""
    from importlib.util import find_spec

    spec = find_spec("fiftyone")
    assert spec is not None
    assert spec.origin is not None
    mongod = Path(spec.origin).parent / "db" / "bin" / "mongod"
    (HOME / "db").mkdir()
    port = free_port()
    command = [mongod, "--dbpath", HOME / "db", "--port", port, "--nounixsocket"]
    server = subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL)
    atexit.register(server.terminate)
    return f"mongodb://127.0.0.1:{port}"


def start_app(port: int) -> None:
    """A server of its own process; waits until it answers."""
    import fiftyone.server.main as main

    command = [sys.executable, main.__file__, "--port", str(port), "--address", "127.0.0.1"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    atexit.register(server.terminate)
    for _ in range(600):
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise RuntimeError("the App's server did not start")


def make_dataset() -> tuple[str, list[str]]:
    """Photographs of SIZES; returns the dataset's name and the samples' ids."""
    import fiftyone as fo
    import numpy as np
    from PIL import Image
    from skimage import data

    made = fo.Dataset("segment-benchmark")
    for i, size in enumerate(SIZES):
        path = HOME / f"{i}.jpg"
        Image.fromarray(np.roll(data.astronaut(), 7 * i, 1)).resize(size).save(path)
        made.add_sample(fo.Sample(str(path)))
    made.persistent = True
    return str(made.name), made.values("id")


class Panel:
    """The panel in a page."""

    def __init__(self, page: Any) -> None:
        self.page = page

    def desk(self, code: str) -> Any:
        """A JavaScript expression over what the script keeps of the mounted panel."""
        script = "async () => { const desk = document.querySelector('.ovsam-segment').ovsam; "
        return self.page.evaluate(script + f"return {code}; }}")

    def wait(self, code: str) -> None:
        """Until the expression holds."""
        desk = "const desk = document.querySelector('.ovsam-segment')?.ovsam; "
        self.page.wait_for_function(f"() => {{ {desk} return desk && {code}; }}", timeout=300_000)

    def move(self, x: float, y: float) -> None:
        """The mouse to a place of the photograph."""
        self.page.mouse.move(*self.desk(f"desk.clientOf([{x}, {y}])"))


def measure(panel: Panel, moves: int, clicks: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each move and each click at random places of the photograph."""
    width, height = panel.desk("desk.sheet.size")
    places = [(random.uniform(1, width - 1), random.uniform(1, height - 1)) for _ in range(clicks)]
    panel.desk("desk.timings = []")
    for i in range(moves):
        panel.move(*places[i % clicks])
        panel.wait(f"desk.timings.length > {i} && !desk.asking")
    spent = [
        panel.desk(
            "(async () => { const start = performance.now(); "
            f"await desk.click([{x}, {y}], true, true); const spent = performance.now() - start; "
            "desk.clear(); return spent; })()"
        )
        for x, y in places
    ]
    return panel.desk("desk.timings"), spent


def first_answer(panel: Panel, sample: str, ahead: bool) -> float:
    """Milliseconds until the first mask on another photograph.

    Args:
        panel: on a photograph.
        sample: the id of the other one.
        ahead: whether it is the next, which there is time to encode before; else it is opened as
            from the grid.
    """
    panel.wait("desk.beside?.next")
    panel.page.wait_for_timeout(5000)
    panel.page.locator(".ovsam-segment").focus()
    start = time.perf_counter()
    if ahead:
        panel.page.keyboard.press("ArrowRight")
    else:
        panel.desk(f"void desk.open(desk.context, '{sample}')")
    panel.wait(f"desk.sheet?.id === '{sample}' && desk.sheet.view && desk.image")
    width, height = panel.desk("desk.sheet.size")
    panel.move(width / 2, height / 2)
    panel.wait("desk.hovered")
    return (time.perf_counter() - start) * 1000


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--moves", type=int, default=100)
    parser.add_argument("--clicks", type=int, default=100)
    args = parser.parse_args()
    plugins = HOME / "plugins"
    plugins.mkdir()
    (plugins / "ovsam").symlink_to(ROOT)
    os.environ.update(
        FIFTYONE_DATABASE_URI=start_database(),
        FIFTYONE_DATABASE_VALIDATION="false",
        FIFTYONE_DO_NOT_TRACK="1",
        FIFTYONE_PLUGINS_CACHE_ENABLED="true",
        FIFTYONE_PLUGINS_DIR=str(plugins),
        PYTHONPATH=str(ROOT),
    )
    random.seed(0)
    import numpy as np
    from playwright.sync_api import sync_playwright
    from rich.console import Console
    from rich.table import Table

    (name, samples), port = make_dataset(), free_port()
    start_app(port)
    table = Table(title="the panel Segment, milliseconds")
    for head in (
        "photograph",
        "",
        "first answer",
        "move to mask p50",
        "p95",
        "click to names p50",
        "p95",
    ):
        table.add_column(head, justify="right")
    with sync_playwright() as playwright:
        import shutil

        found = filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
        browser = playwright.chromium.launch(executable_path=next(found), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1600, "height": 1100})
        page.set_default_timeout(300_000)
        dismiss = page.get_by_role("button", name="Dismiss")
        page.add_locator_handler(dismiss, lambda: dismiss.click())
        page.goto(f"http://127.0.0.1:{port}/datasets/{name}")
        page.locator("[data-cy=new-panel-btn]").first.click()
        page.get_by_text("OVSAM segment").first.click()
        panel = Panel(page)
        panel.wait("desk.sheet?.ready && desk.image")
        panel.move(320, 240)
        panel.wait("desk.hovered")
        here = 0
        for there in VISITS:
            ahead = there == here + 1
            first = first_answer(panel, samples[there], ahead)
            moves, clicks = measure(panel, args.moves, args.clicks)
            figures = (first, *np.percentile(moves, [50, 95]), *np.percentile(clicks, [50, 95]))
            width, height = SIZES[there]
            seen = "encoded ahead" if ahead else "new"
            table.add_row(f"{width} x {height}", seen, *(f"{value:.0f}" for value in figures))
            here = there
        browser.close()
    Console().print(table)


if __name__ == "__main__":
    main()
