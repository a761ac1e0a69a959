"""`ovsam search`."""

from __future__ import annotations

import fiftyone as fo
from PIL import Image

from tests.cli.calling import run, told


def test_what_fits_is_listed_and_kept_as_a_view(named: fo.Dataset) -> None:
    output = run("search", named.name, "a cat", "-k", 3, "--save-view", "cats")
    assert "chelsea.png" in output
    named.reload()
    assert len(named.load_saved_view("cats")) == 3


def test_scripts_get_the_instances_best_first(named: fo.Dataset) -> None:
    best, other = told("search", named.name, "a cat", "-k", 2)
    assert best["filepath"].endswith("chelsea.png")
    assert -1 <= other["score"] <= best["score"] <= 1
    assert best["id"] in named.values("ovsam.detections.id", unwind=True)


def test_a_box_of_an_image_file_is_looked_for(named: fo.Dataset) -> None:
    path = named.first().filepath
    width, height = Image.open(path).size
    (best,) = told("search", named.name, f"{path}:0,0,{width},{height}", "-k", 1)
    assert best["filepath"] == path


def test_what_cannot_be_searched_is_an_error_of_usage(named: fo.Dataset) -> None:
    output = run("search", named.name, "a cat", "--field", "nothing", code=2)
    assert "no labelling run filled field 'nothing'; there are 'ovsam'" in output
