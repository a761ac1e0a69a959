"""Photographs with annotations of the tests' own, and a method whose answers are known."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from ovsam_plugin.dataset.fields import relative_box
from ovsam_plugin.evaluation.ground_truth import read_ground_truth
from ovsam_plugin.evaluation.protocols import Protocol
from ovsam_plugin.evaluation.results import Evaluated
from ovsam_plugin.evaluation.run import Evaluation
from ovsam_plugin.evaluation.splits import apply_split
from ovsam_plugin.network.cost import Cost
from ovsam_plugin.prediction.instances import Instances, PackedMasks
from ovsam_plugin.prediction.prompts import Box, Points, Prompt
from ovsam_plugin.recognition.recognizer import Recognition
from ovsam_plugin.vocabulary.sources import load_vocabulary
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


NAMES = load_vocabulary("cat, cup, person")


def evaluate(
    path: Path,
    images: Sequence[Path],
    protocol: Protocol = "box",
    *,
    vocabulary: Vocabulary = NAMES,
    method: Painter | None = None,
    **options: Any,
) -> Evaluated:
    truth = read_ground_truth(path)
    by_name = {image.name: image for image in images}
    names = {image.id: Path(image.file_name).name for image in truth.images}
    paths = {i: by_name[name] for i, name in names.items() if name in by_name}
    evaluation = Evaluation(truth, paths, vocabulary, protocol, **options)
    return evaluation.run([method or Painter(vocabulary, "cat")])


COCO = apply_split(load_vocabulary("coco"), "coco-48-17")


@pytest.fixture
def evaluated(images: list[Path], annotate: Annotate) -> Evaluated:
    return evaluate(annotate(), images, vocabulary=COCO, method=Painter(COCO, "cat"))


SIZE = (300, 451)  # of the cat's photograph


def detection(
    name: str | None, box: tuple[int, int, int, int], size: tuple[int, int], **more: Any
) -> fo.Detection:
    """An ellipse that fills a whole-pixel xyxy box."""
    x1, y1, x2, y2 = box
    rows, columns = np.mgrid[0 : y2 - y1, 0 : x2 - x1] + 0.5
    mask = (rows / (y2 - y1) * 2 - 1) ** 2 + (columns / (x2 - x1) * 2 - 1) ** 2 <= 1
    return fo.Detection(label=name, bounding_box=relative_box(box, size), mask=mask, **more)


@pytest.fixture
def truthful(dataset: fo.Dataset) -> fo.Dataset:
    """Two truths and two answers to them on the cat's photograph, one on the cup's."""
    dataset.compute_metadata(num_workers=1, progress=False)
    cat, cup, _ = dataset
    big, small = (
        detection("cat", (60, 40, 360, 260), SIZE),
        detection("dog", (10, 10, 41, 33), SIZE),
    )
    cat["truth"] = fo.Detections(detections=[big, small])
    cat["said"] = fo.Detections(detections=[
        detection("kitten", (61, 40, 361, 262), SIZE, confidence=0.9, prompt_id=str(big.id)),
        detection("bird", (12, 11, 41, 33), SIZE, confidence=0.4, prompt_id=str(small.id)),
    ])  # fmt: skip
    cat.save()
    size = cup.metadata.height, cup.metadata.width
    cup["truth"] = fo.Detections(detections=[detection("cup", (150, 80, 410, 300), size)])
    cup["said"] = fo.Detections(detections=[])
    cup.save()
    return dataset


def locked(dataset: fo.Dataset, name: str) -> None:
    field = dataset.get_field(name)
    field.read_only = True
    field.save()


def other_size(dataset: fo.Dataset) -> None:
    sample = dataset.first()
    sample["truth"].detections[0].mask = np.ones((28, 28), dtype=bool)
    sample.save()
