"""Annotated instances as a crop baseline sees them: embedded once, kept on disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ovsam_plugin.baselines.method import SharedEmbedder
from ovsam_plugin.baselines.segmenter import Pixels
from ovsam_plugin.images import read_image
from ovsam_plugin.prompts import Box
from ovsam_plugin.vocabulary.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class Annotated:
    """One photograph with named boxes.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        boxes: one an instance.
        names: their classes.
    """

    image: Pixels
    boxes: tuple[Box, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Examples:
    """Instances with their right classes, as a baseline sees them.

    Attributes:
        embeddings: (N, D) float32, unit length.
        classes: (N,) int64, indices into `names`.
        names: the K classes.
    """

    embeddings: Tensor
    classes: Tensor
    names: tuple[str, ...]


class CocoPhotographs:
    """The photographs of a COCO or LVIS annotation file, read as they are asked for.

    Crowds, boxes that are empty or off the photograph, and photographs without any other are left
    out.

    Args:
        images: their folder.
        annotations: the file.
        keep: of a file name, whether it is used.

    Raises:
        ValueError: the file is not of that kind.
    """

    def __init__(
        self, images: Path, annotations: Path, keep: Callable[[str], bool] = lambda name: True
    ) -> None:
        self._images = images
        content = json.loads(annotations.read_text(encoding="utf-8"))
        self._boxes: dict[str, list[tuple[Box, str]]] = {}
        try:
            classes = {c["id"]: c["name"] for c in content["categories"]}
            records = {r["id"]: r for r in content["images"]}
            for a in content["annotations"]:
                record = records[a["image_id"]]
                # LVIS names a photograph by its address alone.
                file = record.get("file_name") or record["coco_url"].rpartition("/")[2]
                box = _box(a["bbox"], record["width"], record["height"])
                if box is not None and not a.get("iscrowd") and keep(file):
                    self._boxes.setdefault(file, []).append((box, classes[a["category_id"]]))
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"{annotations} is not a COCO or LVIS annotation file: {error!r}"
            ) from error

    def __len__(self) -> int:
        return len(self._boxes)

    def __iter__(self) -> Iterator[Annotated]:
        for file, found in self._boxes.items():
            boxes, names = zip(*found)
            yield Annotated(read_image(self._images / file), boxes, names)


def _box(xywh: Sequence[float], width: int, height: int) -> Box | None:
    x, y, w, h = xywh
    try:
        return Box((x, y, x + w, y + h)).on_image(width, height)
    except ValueError:
        return None


def embed_examples(
    embedder: SharedEmbedder, photographs: Iterable[Annotated], vocabulary: Vocabulary
) -> Examples:
    """Instances of a vocabulary's base classes (of all, where it has no split), by their boxes.

    Boxes of other classes, and instances whose mask comes out empty, are left out.
    """
    base = [i for i, c in enumerate(vocabulary) if c.split == "base"] or range(len(vocabulary))
    place = {index: k for k, index in enumerate(base)}
    embeddings: list[npt.NDArray[np.float32]] = []
    classes: list[int] = []
    for photograph in photographs:
        found = [vocabulary.find(name) for name in photograph.names]
        asked = [(b, place[i]) for b, i in zip(photograph.boxes, found) if i in place]
        if not asked:
            continue
        instances = embedder.embed(photograph.image, [box for box, _ in asked]).value
        solid = ~instances.empty
        embeddings.extend(instances.clip_embeddings[solid])
        classes.extend(int(k) for (_, k), on in zip(asked, solid) if on)
    names = tuple(vocabulary.categories[i].synonyms[0] for i in base)
    rows = np.array(embeddings, dtype=np.float32)
    return Examples(torch.from_numpy(rows), torch.tensor(classes, dtype=torch.int64), names)


def write_examples(examples: Examples, path: Path, origin: dict[str, str]) -> None:
    """Keeps examples as safetensors, with where they come from."""
    facts = {"names": json.dumps(examples.names), "origin": json.dumps(origin)}
    tensors = {"embeddings": examples.embeddings, "classes": examples.classes}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, lambda part: save_file(tensors, part, metadata=facts))


def read_examples(path: Path, origin: dict[str, str]) -> Examples | None:
    """What `write_examples` wrote, or None when there is no file.

    Raises:
        ValueError: the file is damaged or of another origin.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(str(path), framework="pt") as file:
            facts = file.metadata() or {}
            if json.loads(facts.get("origin", "null")) != origin:
                raise ValueError(f"{path} is of another network or vocabulary: remove it")
            names = tuple(json.loads(facts["names"]))
            return Examples(file.get_tensor("embeddings"), file.get_tensor("classes"), names)
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged ({error}): remove it") from error


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Writes a file whole or not at all."""
    part = path.with_suffix(path.suffix + ".part")
    write(part)
    part.replace(path)
