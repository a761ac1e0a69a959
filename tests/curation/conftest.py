"""A labelled dataset to curate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fiftyone as fo
import pytest

from ovsam_plugin import label_dataset

SMALL: dict[str, Any] = {"device": "cpu", "workers": 0, "progress": False}
NAMES = "cat, cup, person, spoon"
BOXES = ([0.1, 0.1, 0.6, 0.8], [0.3, 0.2, 0.5, 0.5], [0.05, 0.5, 0.4, 0.4])


@pytest.fixture(scope="session")
def labelled_once(photographs: dict[str, Path]) -> Iterator[fo.Dataset]:
    """The photographs with three instances each in the field `ovsam`, asked for by boxes."""
    made = fo.Dataset()
    made.add_images([str(path) for path in photographs.values()])
    for sample in made:
        asks = [fo.Detection(label="thing", bounding_box=box) for box in BOXES]
        sample["asks"] = fo.Detections(detections=asks)
        sample.save()
    label_dataset(made, vocabulary=NAMES, box_field="asks", **SMALL)
    yield made
    made.delete()


@pytest.fixture
def labelled(labelled_once: fo.Dataset) -> Iterator[fo.Dataset]:
    """A clone of it, with all its runs."""
    clone = labelled_once.clone()
    yield clone
    if not clone.deleted:
        clone.delete()
