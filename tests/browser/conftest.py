"""A real browser before a real App. CI has one; elsewhere its absence skips these tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.browser.server import Server

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE = 60_000
"""Milliseconds that the App has for a step; a busy machine needs seconds for one."""


def find_chromium() -> str | None:
    """The system's Chromium or Chrome."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for path in map(shutil.which, names) if path), None)


# Not for the session: while Playwright runs, FiftyOne takes its loop for a server's and gives back
# tasks where other tests expect results.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A headless browser, driven by Playwright."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _lacking("the package playwright is not installed: pip install playwright")
    executable = find_chromium()
    if executable is None:
        _lacking("there is no Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(ARGUMENTS))
        yield browser
        browser.close()


def new_page(chromium: Any) -> Any:
    """An empty page of a large screen."""
    page = chromium.new_page(viewport={"width": 1600, "height": 1100})
    page.set_default_timeout(PATIENCE)
    # An advertisement lies over the App when it is first opened.
    dismiss = page.get_by_role("button", name="Dismiss")
    page.add_locator_handler(dismiss, lambda: dismiss.click())
    return page


@pytest.fixture(scope="module")
def app() -> Iterator[Server]:
    """The App's server, one for a module: it takes ten seconds to start and to load the network."""
    with Server() as made:
        yield made


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of the test's own, which has loaded nothing yet, and may be stopped."""
    with Server() as made:
        yield made


@pytest.fixture
def open_app(chromium: Any, app: Server) -> Iterator[Callable[[Any], Any]]:
    """Opens a dataset in the App and gives the browser's page."""
    opened: list[Any] = []

    def open_dataset(dataset: Any) -> Any:
        page = new_page(chromium)
        opened.append(page)
        page.goto(app.address(dataset))
        return page

    yield open_dataset
    for page in opened:
        page.close()


def _lacking(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason} (CI=true: the browser tests must run)")
    pytest.skip(reason)
