"""What several commands are tried on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fiftyone as fo
import pytest

from ovsam_plugin.dataset.importing import import_images


@pytest.fixture
def folder(images: list[Path]) -> Iterator[Path]:
    """A folder of two photographs, a cat and a cup; its dataset is gone after the test."""
    folder = images[0].parent
    for image in images:
        if image.name not in ("chelsea.png", "coffee.png"):
            image.unlink()
    yield folder
    fo.delete_dataset(import_images(folder).name)
