"""Photographs with annotations of the tests' own, and a method whose answers are known."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from ovsam_plugin.network.cost import Cost
from ovsam_plugin.prediction.instances import Instances, PackedMasks
from ovsam_plugin.prediction.prompts import Box, Points, Prompt
from ovsam_plugin.recognition.recognizer import Recognition
from ovsam_plugin.vocabulary.vocabulary import Vocabulary

Annotate = Callable[..., Path]

CATEGORIES = ({"id": 17, "name": "cat"}, {"id": 47, "name": "cup"}, {"id": 1, "name": "person"})
# By photograph: class id and xywh of two rectangles each, the first the larger one.
THINGS = {
    "chelsea.png": ((17, (60, 40, 300, 220)), (1, (10, 10, 40, 30))),
    "coffee.png": ((47, (150, 80, 260, 220)), (47, (20, 300, 60, 50))),
    "astronaut.png": ((1, (60, 20, 300, 440)), (17, (380, 300, 20, 20))),
}


@pytest.fixture
def annotate(images: list[Path], tmp_path: Path) -> Annotate:
    """Writes a COCO file of the photographs and gives its path; keywords change what it holds."""

    def write(
        change: Callable[[dict[str, Any]], None] | None = None, name: str = "truth.json"
    ) -> Path:
        content = coco_content(images)
        if change is not None:
            change(content)
        path = tmp_path / name
        path.write_text(json.dumps(content))
        return path

    return write


def coco_content(images: Sequence[Path]) -> dict[str, Any]:
    """Rectangles of known classes on the photographs."""
    records, annotations = [], []
    for image_id, path in enumerate(images, start=1):
        with Image.open(path) as opened:
            width, height = opened.size
        records.append({"id": image_id, "file_name": path.name, "width": width, "height": height})
        for category, (x, y, w, h) in THINGS[path.name]:
            corners = [x, y, x + w, y, x + w, y + h, x, y + h]
            annotations.append(
                {"id": len(annotations) + 1, "image_id": image_id, "category_id": category,
                 "bbox": [x, y, w, h], "area": w * h, "iscrowd": 0, "segmentation": [corners]}
            )  # fmt: skip
    categories = [dict(category) for category in CATEGORIES]
    return {"images": records, "annotations": annotations, "categories": categories}


class Painter:
    """Fills the box that asks, or a square of 40 pixels around the point, and says one class.

    Attributes:
        asked: every prompt that it was given.
    """

    name = "painter"

    def __init__(self, vocabulary: Vocabulary, answer: str, confidence: float = 0.5) -> None:
        self._vocabulary = vocabulary
        self._index = vocabulary.names.index(answer)
        self._confidence = confidence
        self.seconds = 0.25
        self.asked: list[Prompt] = []

    def label(
        self, image: npt.NDArray[np.uint8], prompts: Sequence[Prompt]
    ) -> tuple[Instances, Recognition]:
        self.asked += prompts
        boxes = np.array([_place(p, image.shape) for p in prompts], dtype=np.int64).reshape(-1, 4)
        count = len(prompts)
        scores = np.full(count, self._confidence, dtype=np.float32)
        index = np.full(count, self._index, dtype=np.int64)
        instances = Instances(
            image_size=(image.shape[0], image.shape[1]),
            boxes=boxes,
            masks=PackedMasks.pack([np.ones((y2 - y1, x2 - x1), bool) for x1, y1, x2, y2 in boxes]),
            stability=np.ones(count, dtype=np.float32),
            objectness=np.ones(count, dtype=np.float32),
            head_embeddings=np.zeros((count, 2), dtype=np.float32),
            clip_embeddings=np.zeros((count, 2), dtype=np.float32),
            prompts=tuple(prompts),
        )
        names = Recognition(
            self._vocabulary, index, scores, scores, scores, scores, scores, 1 - scores,
            index[:, None], scores[:, None],
        )  # fmt: skip
        return instances, names

    def cost(self, prompts: int) -> Cost:
        return Cost(7, 11 * prompts)


def _place(prompt: Prompt, shape: tuple[int, ...]) -> list[int]:
    if isinstance(prompt, Box):
        return [round(v) for v in prompt.xyxy]
    assert isinstance(prompt, Points)
    (x, y), _ = prompt.xy[0], None
    return [
        max(int(x) - 20, 0), max(int(y) - 20, 0), min(int(x) + 20, shape[1]),
        min(int(y) + 20, shape[0]),
    ]  # fmt: skip
