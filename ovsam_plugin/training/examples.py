"""Annotated instances as a crop baseline sees them: embedded once, kept on disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from pycocotools.coco import COCO
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


def coco_photographs(
    images: Path, annotations: Path, keep: Callable[[str], bool] = lambda name: True
) -> Iterable[Annotated]:
    """The photographs of a COCO annotation file, crowds and empty boxes left out.

    Args:
        images: their folder.
        annotations: the file.
        keep: of a file name, whether it is used.
    """
    coco = COCO(str(annotations))
    for record in coco.imgs.values():
        found = [a for a in coco.imgToAnns[record["id"]] if not a.get("iscrowd")]
        found = [a for a in found if min(a["bbox"][2:]) > 0]
        if found and keep(record["file_name"]):
            yield Annotated(
                read_image(images / record["file_name"]),
                tuple(Box((x, y, x + w, y + h)) for x, y, w, h in (a["bbox"] for a in found)),
                tuple(coco.cats[a["category_id"]]["name"] for a in found),
            )


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
