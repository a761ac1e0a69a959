"""Makes the pictures of the README from the demo's dataset; run by hand, after `make demo`.

    .venv/bin/python docs/screenshots.py

It starts the App and photographs it with the system's Chromium. Decisions that it needs for a
picture are made in a copy of the dataset.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault("FIFTYONE_DO_NOT_TRACK", "true")
os.environ.setdefault("FIFTYONE_DATABASE_VALIDATION", "false")
os.environ.setdefault("FIFTYONE_PLUGINS_DIR", str(ROOT))

FIELD, BY_BOX = "ovsam", "ovsam_by_box"
QUERY = "a cup of coffee"
COPY = "ovsam-demo-pictures"
PORT = 5189
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
# Large enough to read, small enough for a README.
VIEWPORT, QUALITY, LARGEST = (1440, 1000), 82, 250_000
PATIENCE = 120_000


def main() -> None:
    """Writes app.jpg, review.jpg and search.jpg beside this file."""
    import fiftyone as fo
    from playwright.sync_api import sync_playwright

    from ovsam_plugin.curation.scores import score_run
    from ovsam_plugin.demo import DATASET

    if not fo.dataset_exists(DATASET):
        sys.exit(f"there is no dataset {DATASET!r}: run `make demo` first")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("there is no Chromium on this machine")
    if fo.dataset_exists(COPY):
        fo.delete_dataset(COPY)
    dataset = fo.load_dataset(DATASET).clone(COPY, persistent=True)
    score_run(dataset, field=FIELD)
    dataset.app_config.color_scheme = fo.ColorScheme(color_by="value", opacity=0.6)
    dataset.save()
    session = fo.launch_app(dataset, remote=True, address="127.0.0.1", port=PORT)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
            for field, photograph in (
                (BY_BOX, photograph_app),
                (FIELD, photograph_review),
                (FIELD, photograph_search),
            ):
                dataset.app_config.active_fields = fo.ActiveFields(paths=[field])
                dataset.save()
                photograph(_page(browser))
            browser.close()
    finally:
        session.close()
        fo.delete_dataset(COPY)


def photograph_app(page: Any) -> None:
    """The grid with the labels."""
    _enlarge(page)
    page.wait_for_timeout(8000)
    _save(page, "app.jpg")


def photograph_review(page: Any) -> None:
    """The review panel with a few decisions made, beside the grid."""
    page.locator("[data-cy=new-panel-btn]").first.click()
    page.get_by_text("OVSAM review").first.click()
    for decided in range(4):
        page.get_by_text(f"{decided} of").first.wait_for()
        name = "Reject" if decided == 2 else "Accept"
        page.get_by_role("button", name=name).click()
        page.get_by_text(f"{decided + 1} of").first.wait_for()
    page.get_by_role("button", name="Show in the grid").click()
    page.get_by_text("1 sample", exact=True).wait_for()
    _enlarge(page)
    page.wait_for_timeout(5000)
    _save(page, "review.jpg")


def photograph_search(page: Any) -> None:
    """FiftyOne's own text search over the run's instances."""
    page.locator("[data-cy=action-clips-patches]").click()
    page.get_by_text(FIELD, exact=True).last.click()
    page.wait_for_timeout(5000)
    page.locator("[data-cy=action-sort-by-similarity]").click()
    box = page.get_by_placeholder("Type anything!")
    box.fill(QUERY)
    box.press("Enter")
    page.wait_for_timeout(20_000)
    _save(page, "search.jpg")


def _enlarge(page: Any) -> None:
    """Fewer and larger photographs in a row: the second slider above the grid."""
    box = page.locator("[data-cy=slider]").last.bounding_box()
    page.mouse.click(box["x"] + 0.25 * box["width"], box["y"] + box["height"] / 2)
    page.mouse.move(5, 5)


def _page(browser: Any) -> Any:
    width, height = VIEWPORT
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(PATIENCE)
    # An advertisement lies over the App when it is first opened.
    page.goto(f"http://127.0.0.1:{PORT}/datasets/{COPY}")
    page.get_by_role("button", name="Dismiss").click()
    page.locator("[data-cy=new-panel-btn]").first.wait_for()
    return page


def _save(page: Any, name: str) -> None:
    path = Path(__file__).with_name(name)
    page.screenshot(path=path, type="jpeg", quality=QUALITY)
    size = path.stat().st_size
    print(f"{path.relative_to(ROOT)}: {size / 1000:.0f} kB")
    if size > LARGEST:
        sys.exit(f"{name} is larger than {LARGEST / 1000:.0f} kB: lower QUALITY")


if __name__ == "__main__":
    main()
