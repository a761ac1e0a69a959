"""Makes the pictures of the README from the demo's dataset; run by hand, after `make demo`.

    .venv/bin/python docs/screenshots.py
    .venv/bin/python docs/screenshots.py REPORT/report.html   # evaluate.jpg alone, of any report

The first starts the App and photographs it with the system's Chromium. Decisions that it needs
for a picture are made in a copy of the dataset.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault("FIFTYONE_DO_NOT_TRACK", "true")
os.environ.setdefault("FIFTYONE_DATABASE_VALIDATION", "false")
os.environ.setdefault("FIFTYONE_PLUGINS_DIR", str(ROOT))
os.environ["LOGNAME"] = "you"  # whom a form takes for the reviewer

QUERY = "a cup of coffee"
COPY = "ovsam-demo-pictures"
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
# Large enough to read, small enough for a README.
VIEWPORT, QUALITY, LARGEST = (1400, 980), 60, 150_000
PATIENCE = 60_000
# Seconds from the last click to the picture: notes go away, canvases are drawn.
SETTLED = 8


def main() -> None:
    """Writes the App's pictures, or evaluate.jpg, beside this file."""
    if sys.argv[1:]:
        photograph_report(Path(sys.argv[1]).resolve())
        return
    import fiftyone as fo

    from ovsam_plugin.curation.scores import score_run
    from ovsam_plugin.demo import BY_BOX, EVERYTHING

    with copied_demo() as dataset, chromium() as browser:
        # So few photographs have hardly two unknown things that look alike.
        score_run(dataset, pred_field=EVERYTHING, share=0.7)
        dataset.app_config.color_scheme = fo.ColorScheme(color_by="value", opacity=0.5)
        groups = fo.DatasetAppConfig.default_sidebar_groups(dataset)
        for group in groups:
            group.expanded = group.name == "labels"
        dataset.app_config.sidebar_groups = groups
        dataset.app_config.active_fields = fo.ActiveFields(paths=[BY_BOX])
        dataset.save()
        for field, photograph in (
            (BY_BOX, photograph_app),
            (EVERYTHING, photograph_label),
            (EVERYTHING, photograph_groups),
            (EVERYTHING, photograph_review),
            (EVERYTHING, photograph_search),
            (EVERYTHING, photograph_segment),
        ):
            with app_page(browser, dataset) as page:
                photograph(page, field)


@contextmanager
def copied_demo() -> Iterator[Any]:
    """A copy of the demo's dataset, which goes afterwards."""
    import fiftyone as fo

    from ovsam_plugin.demo import DATASET

    if not fo.dataset_exists(DATASET):
        sys.exit(f"there is no dataset {DATASET!r}: run `make demo` first")
    if fo.dataset_exists(COPY):
        fo.delete_dataset(COPY)
    try:
        yield fo.load_dataset(DATASET).clone(COPY, persistent=True)
    finally:
        fo.delete_dataset(COPY)


@contextmanager
def chromium() -> Iterator[Any]:
    """The system's browser."""
    from playwright.sync_api import sync_playwright

    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        sys.exit("there is no Chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(ARGUMENTS))
        yield browser
        browser.close()


@contextmanager
def app_page(browser: Any, dataset: Any) -> Iterator[Any]:
    """The App on a dataset, by a server of its own: it opens again the panels of the one before."""
    import fiftyone as fo

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    session = fo.launch_app(dataset, remote=True, address="127.0.0.1", port=port)
    width, height = VIEWPORT
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(PATIENCE)
    # An advertisement lies over the App when it is first opened.
    page.goto(f"http://127.0.0.1:{port}/datasets/{dataset.name}")
    page.get_by_role("button", name="Dismiss").click()
    page.locator("[data-cy=new-panel-btn]").first.wait_for()
    # The session tells the App its view late, and takes back what was chosen before.
    page.wait_for_timeout(1000 * SETTLED)
    yield page
    page.close()
    session.close()


def photograph_app(page: Any, field: str) -> None:
    """One sample with its masks and names, and the run's attributes in the sidebar."""
    page.set_viewport_size({"width": VIEWPORT[0], "height": 800})
    page.locator("[data-cy=looker]").nth(3).click()
    page.locator("[data-cy=modal-looker-container]").wait_for()
    page.locator(f"[data-cy=modal] [data-cy=sidebar-field-arrow-enabled-{field}]").click()
    page.wait_for_timeout(1000 * SETTLED)
    _save(page, "app.jpg")


def photograph_label(page: Any, field: str) -> None:
    """The form Label with some photographs tried."""
    page.locator("[data-cy=looker]").first.wait_for()
    page.keyboard.press("`")
    page.get_by_placeholder("Search operations by name...").fill("label")
    page.keyboard.press("Enter")
    page.get_by_text(re.compile(r"^Try on \d photographs$")).click()
    picture = page.get_by_alt_text("the photographs with their labels")
    picture.wait_for(timeout=4 * PATIENCE)
    picture.scroll_into_view_if_needed()
    page.wait_for_timeout(1000 * SETTLED)
    _save(page, "label.jpg")


def photograph_groups(page: Any, field: str) -> None:
    """The groups of unknown instances, beside the grid."""
    page.locator("[data-cy=new-panel-btn]").first.click()
    page.get_by_text("OVSAM groups").first.click()
    page.get_by_alt_text("group 1").wait_for()
    _make_room(page)
    _save(page, "groups.jpg")


def photograph_review(page: Any, field: str) -> None:
    """The review panel with a few decisions made, beside the grid."""
    page.locator("[data-cy=new-panel-btn]").first.click()
    page.get_by_text("OVSAM review").first.click()
    for decided in range(6):
        page.get_by_text(f"{decided} of").first.wait_for()
        name = "Reject" if decided in (1, 4) else "Accept"
        page.get_by_role("button", name=name).click()
        page.get_by_text(f"{decided + 1} of").first.wait_for()
    _make_room(page)
    _save(page, "review.jpg")


def photograph_search(page: Any, field: str) -> None:
    """FiftyOne's own text search over the run's instances, and what it found."""
    page.locator("[data-cy=action-clips-patches]").click()
    page.get_by_text(field, exact=True).last.click()
    page.get_by_text(re.compile(r"^\d+ patches$")).wait_for()
    page.locator("[data-cy=action-sort-by-similarity]").click()
    box = page.get_by_placeholder("Type anything!")
    box.fill(QUERY)
    box.press("Enter")
    page.get_by_text(re.compile(r"^\d+ results$")).first.wait_for()
    # Playwright takes it for disabled, since its list is one to drag from.
    page.get_by_label("Show results").first.click(force=True)
    page.get_by_text(re.compile(r"^\d+ patches$")).first.wait_for()
    _make_room(page)
    _save(page, "search.jpg")


def photograph_segment(page: Any, field: str) -> None:
    """The panel in which the photograph itself is clicked on, with one instance kept and named."""
    page.locator("[data-cy=new-panel-btn]").first.click()
    page.get_by_text("OVSAM segment").first.click()
    page.get_by_text(re.compile(r"^\d+ in ")).wait_for()
    for _ in range(2):
        page.get_by_role("button", name="Next").click()
    page.get_by_text(re.compile(r"^\d+ in ")).wait_for()
    box = page.locator(".ovsam-stage").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.get_by_role("button", name="Add (Enter)").wait_for()
    _make_room(page)
    _save(page, "segment.jpg")


def photograph_report(path: Path) -> None:
    """The figures of a report and its first chart; no photograph of anyone's."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 800, "height": 900})
        page.set_default_timeout(PATIENCE)
        page.goto(path.as_uri())
        # Where the files lay on this machine is nobody's business.
        page.evaluate("document.querySelectorAll('ul').forEach(list => list.remove())")
        end = page.get_by_text("How far confidence").first.bounding_box()
        clip = {"x": 0, "y": 0, "width": 800, "height": end["y"] - 10}
        _save(page, "evaluate.jpg", full_page=True, clip=clip)


def _make_room(page: Any) -> None:
    """Larger photographs, no sidebar; waits for the picture to be whole."""
    page.locator("[data-cy=action-toggle-sidebar]").first.click()
    box = page.locator("[data-cy=slider]").last.bounding_box()
    page.mouse.click(box["x"] + 0.95 * box["width"], box["y"] + box["height"] / 2)
    page.mouse.move(5, 5)
    page.wait_for_timeout(1000 * SETTLED)


def _save(page: Any, name: str, **settings: Any) -> None:
    path = Path(__file__).with_name(name)
    page.screenshot(path=path, type="jpeg", quality=QUALITY, **settings)
    weigh(path, LARGEST)


def weigh(path: Path, most: int) -> None:
    """Tells a picture's bytes; no larger one is left unseen."""
    size = path.stat().st_size
    print(f"{path.relative_to(ROOT)}: {size / 1000:.0f} kB")
    if size > most:
        sys.exit(f"{path.name} is larger than {most / 1000:.0f} kB: lower QUALITY")


if __name__ == "__main__":
    main()
