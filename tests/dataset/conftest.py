"""What labelling is called with in these tests, and a dataset that asks twice a photograph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone as fo
import pytest

NAMES = "cat, cup, person, spoon"
SMALL: dict[str, Any] = {
    "vocabulary": NAMES,
    "device": "cpu",
    "workers": 0,
    "progress": False,
    "box_field": "asks",
}


def ids(dataset: fo.Dataset, field: str = "ovsam") -> set[str]:
    """Of all labels of a run."""
    return set(dataset.values(f"{field}.detections.id", unwind=True)) - {None}


@pytest.fixture
def twice(dataset: fo.Dataset) -> fo.Dataset:
    """The photographs, each with two boxes that ask."""
    for sample in dataset:
        boxes = ([0.2, 0.2, 0.6, 0.6], [0.1, 0.4, 0.3, 0.5])
        asks = [fo.Detection(label="thing", bounding_box=box) for box in boxes]
        sample["asks"] = fo.Detections(detections=asks)
        sample.save()
    return dataset


@pytest.fixture
def lance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """How to label into LanceDB, which keeps its tables in a folder of the test's own."""
    import fiftyone.brain as fob

    backends = fob.brain_config.similarity_backends
    monkeypatch.setitem(backends["lancedb"], "uri", str(tmp_path / "lance"))
    return {**SMALL, "index_backend": "lancedb"}


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty model zoo folder."""
    folder = tmp_path / "zoo"
    folder.mkdir()
    monkeypatch.setattr(fo.config, "model_zoo_dir", str(folder))
    return folder
