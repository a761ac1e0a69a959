"""What labelling is called with in these tests, and a dataset that asks twice a photograph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image

from ovsam_plugin.dataset.loading import Loaded
from ovsam_plugin.dataset.model import OvsamModel
from ovsam_plugin.dataset.sample_prompts import Asked
from ovsam_plugin.prediction.prompts import Box

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


def loaded(model: OvsamModel, paths: list[Path], boxes: int = 1) -> list[Loaded]:
    """Photographs as the loader gives them, each with boxes that ask."""
    asked = Asked(prompts=tuple(Box((20.0 + i, 20, 150, 180)) for i in range(boxes)))
    pictures = [np.array(Image.open(path).convert("RGB")) for path in paths]
    frames = [model.labeler.predictor.preprocess(picture) for picture in pictures]
    return [Loaded(str(i), frame, asked) for i, frame in enumerate(frames)]
