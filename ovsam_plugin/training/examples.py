"""Annotated instances as a crop baseline sees them: embedded once, kept on disk."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ovsam_plugin.annotations import read_annotation_file
from ovsam_plugin.annotations.masks import Size
from ovsam_plugin.annotations.photographs import find_in
from ovsam_plugin.baselines.method import SharedEmbedder
from ovsam_plugin.files import draft_of
from ovsam_plugin.images.reading import Pixels, read_image
from ovsam_plugin.prediction.prompts import Box
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

    Crowds, boxes that are empty or off the photograph, photographs without any other, and those
    that are not there are left out.

    Args:
        images: their folder.
        annotations: the file.
        keep: of a photograph's name (see `annotations.photographs`), whether it is used.
        crowds: whether annotations that are marked as crowds are instances like the others.

    Attributes:
        problems: what is left out for being broken, and why.

    Raises:
        ValueError: the file is not of that kind, or no photograph is left.
    """

    def __init__(
        self,
        images: str | Path,
        annotations: str | Path,
        keep: Callable[[str], bool] = lambda name: True,
        *,
        crowds: bool = False,
    ) -> None:
        self._file = read_annotation_file(annotations, crowds=crowds)
        self._sizes: dict[str, Size | None] = {}
        self._boxes: dict[str, list[tuple[Box, str]]] = {}
        self.problems = list(self._file.notes)
        kept = [image for image in self._file.images if keep(image.file_name)]
        for image in kept:
            self._sizes.setdefault(image.file_name, image.size)
            for annotation in self._file.on(image.id):
                if annotation.crowd:
                    continue
                try:
                    box = Box(annotation.box(image.size))
                    if image.size is not None:
                        box.on_image(image.size[1], image.size[0])
                    if annotation.category is None:
                        raise ValueError(annotation.class_error)
                except ValueError as error:
                    self.problems.append(f"annotation {annotation.id}: {error}")
                    continue
                name = self._file.categories[annotation.category].name
                self._boxes.setdefault(image.file_name, []).append((box, name))
        if kept and not self._boxes:
            why = self.problems[0] if self.problems else "all are crowds, or there is none"
            raise ValueError(f"no annotation of {self._file.path} gives a named box: {why}")
        self._paths = find_in(Path(images), self._boxes)

    def __len__(self) -> int:
        return len(self._boxes)

    def __iter__(self) -> Iterator[Annotated]:
        for name in self._boxes:
            try:
                yield self._photograph(name)
            except ValueError as error:
                self.problems.append(str(error))

    def _photograph(self, name: str) -> Annotated:
        """A photograph with its boxes.

        Raises:
            ValueError: it is not there, cannot be read, or is of another size than the file says.
        """
        if len(self._paths[name]) != 1:
            count = len(self._paths[name]) or "no"
            raise ValueError(f"there is {count} image {name}")
        pixels = read_image(self._paths[name][0])
        height, width = pixels.shape[:2]
        said = self._sizes[name]
        if said not in (None, (height, width)):
            raise ValueError(f"{name} is {width} x {height}, {self._file.path.name} says otherwise")
        found = []
        for box, class_name in self._boxes[name]:
            with contextlib.suppress(ValueError):
                found.append((box.on_image(width, height), class_name))
        if not found:
            raise ValueError(f"no box lies on {name}")
        boxes, names = zip(*found)
        return Annotated(pixels, boxes, names)


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
    with draft_of(path) as draft:
        save_file(tensors, draft, metadata=facts)


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
                raise ValueError(
                    f"{path} is of another network, vocabulary or annotation file: remove it"
                )
            names = tuple(json.loads(facts["names"]))
            return Examples(file.get_tensor("embeddings"), file.get_tensor("classes"), names)
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged ({error}): remove it") from error
