"""How commands find a dataset by its name, or that of a folder."""

from __future__ import annotations

from pathlib import Path

import fiftyone as fo
import pytest

from ovsam_plugin.cli.datasets import load_dataset, load_images, opened
from tests.cli.calling import run


def test_a_dataset_that_is_not_there_is_told_with_those_near(named: fo.Dataset) -> None:
    output = run("search", named.name + "x", "a cat", code=2)
    assert f"there is no dataset '{named.name}x'; there are '{named.name}'" in output
    with pytest.raises(ValueError, match="there is no dataset 'q'; there are"):
        load_dataset("q")


def test_of_a_grouped_dataset_all_image_slices_are_meant(images: list[Path]) -> None:
    grouped = fo.Dataset()
    try:
        grouped.add_group_field("group", default="left")
        group = fo.Group()
        sides = zip(("left", "right"), images)
        grouped.add_samples(
            [fo.Sample(filepath=str(path), group=group.element(side)) for side, path in sides]
        )
        assert len(grouped) == 1
        assert len(load_images(grouped.name)) == 2
    finally:
        grouped.delete()


def test_a_folder_is_its_dataset_and_a_name_is_one_too(images: list[Path]) -> None:
    made = opened(str(images[0].parent))
    try:
        assert len(made) == len(images)
        assert opened(made.name) is made
        assert opened(str(images[0].parent)).name == made.name
    finally:
        made.delete()
