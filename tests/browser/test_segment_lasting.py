"""What a person has clicked outlives the panel's place on the screen, and the server."""

from __future__ import annotations

from typing import Any

import fiftyone as fo

from tests.browser.conftest import new_page
from tests.browser.panel import Panel, eventually, labels, show
from tests.browser.server import Server

CAT = (230, 120)


def test_clicks_outlive_a_tab_a_split_and_the_server(
    dataset: fo.Dataset, chromium: Any, server: Server
) -> None:
    page = new_page(chromium)

    def open_panel() -> Panel:
        page.goto(server.address(dataset))
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

    # Without its server the App gives up the whole page; what asks before that is told. Which of
    # the two is seen hangs on the moment.
    x, y = panel.desk("desk.clientOf([350, 120])")
    server.stop()
    page.mouse.move(x, y)
    gone = page.get_by_text("you are not connected to a session")
    gone.or_(page.get_by_text("Failed to fetch")).first.wait_for()
    server.start()
    panel = open_panel()
    assert panel.steps == asked
    assert page.get_by_role("button", name="1 cat").is_visible()
    panel.press("Enter")
    eventually(lambda: [label["label"] for label in labels(dataset)] == ["cat"], "it is not added")
    page.close()
