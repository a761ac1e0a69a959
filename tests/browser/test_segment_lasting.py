"""What a person has clicked outlives the panel's place on the screen, and the server."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import fiftyone as fo
import fiftyone.server.main as server_main
import pytest

from tests.browser.conftest import new_page
from tests.browser.panel import Panel, eventually, labels, show
from tests.conftest import ROOT

CAT = (230, 120)


class Server:
    """The App's server in a process of its own, at one address all the time."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Waits until it answers."""
        command = [sys.executable, server_main.__file__, "--port", str(self.port)]
        self.process = subprocess.Popen(
            [*command, "--address", "127.0.0.1"],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + 120
        while True:
            with socket.socket() as tried:
                if tried.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert time.monotonic() < end, "the App's server did not start"
            time.sleep(0.2)

    def stop(self) -> None:
        """Without a farewell, as a server that crashes."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    made.start()
    yield made
    made.stop()


def test_clicks_outlive_a_tab_a_split_and_the_server(
    dataset: fo.Dataset, chromium: Any, server: Server
) -> None:
    page = new_page(chromium)

    def open_panel() -> Panel:
        page.goto(f"http://127.0.0.1:{server.port}/datasets/{dataset.name}")
        panel = show(page)
        panel.wait_for_photograph((451, 300))
        panel.settled()
        return panel

    panel = open_panel()
    panel.click(*CAT)
    panel.click(300, 200)
    page.get_by_role("button", name="1 cat").wait_for()
    asked = panel.steps
    assert len(asked) == 2

    # Another tab lies over it, and then beside it.
    page.locator("[data-cy=new-panel-btn]").last.click()
    page.get_by_text("Histograms").last.click()
    page.locator(".ovsam-segment").wait_for(state="detached")
    page.get_by_title("Split vertically").click()
    page.locator("[data-cy=panel-tab-segment]").click()
    panel.wait_for_photograph((451, 300))
    assert panel.steps == asked
    assert page.get_by_role("button", name="1 cat").is_visible()

    # Without its server the App gives up the whole page.
    server.stop()
    page.get_by_text("Failed to fetch").first.wait_for()
    server.start()
    panel = open_panel()
    assert panel.steps == asked
    assert page.get_by_role("button", name="1 cat").is_visible()
    panel.press("Enter")
    eventually(lambda: [label["label"] for label in labels(dataset)] == ["cat"], "it is not added")
    page.close()
