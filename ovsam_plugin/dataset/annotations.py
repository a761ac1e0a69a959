"""Annotation files as prompts: where to look, and nothing of what is there.

A file's masks and classes are used for two ends only: to find the point deepest inside a mask, and
to give predictions the file's own category ids when they are written. Neither reaches the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeAlias

from ovsam_plugin.annotations import (
    AnnotatedCategory,
    AnnotatedImage,
    Annotation,
    AnnotationFile,
    Id,
    read_annotation_file,
)
from ovsam_plugin.annotations.masks import Size, deepest_point

__all__ = [
    "AnnotatedCategory",
    "AnnotatedImage",
    "AnnotationPrompts",
    "Id",
    "PromptSource",
    "deepest_point",
    "read_annotations",
]

PromptSource: TypeAlias = Literal["box", "center-point"]
Place: TypeAlias = tuple[float, float, float, float] | tuple[float, float]


@dataclass(frozen=True, eq=False)
class AnnotationPrompts:
    """An annotation file, each of its instances a prompt.

    Attributes:
        file: what was read.
        source: what each annotation is turned into.
    """

    file: AnnotationFile
    source: PromptSource

    @property
    def path(self) -> Path:
        """Where the file was read."""
        return self.file.path

    @property
    def images(self) -> tuple[AnnotatedImage, ...]:
        """All images, with or without annotations."""
        return self.file.images

    @property
    def categories(self) -> tuple[AnnotatedCategory, ...]:
        """The file's classes."""
        return self.file.categories

    @cached_property
    def prompts(self) -> tuple[Annotation, ...]:
        """One an annotation in the file's order, crowds left out.

        An annotation that cannot be asked stays with its `error`, so that answers can be counted
        against the file.
        """
        return tuple(annotation for annotation in self.file.annotations if not annotation.crowd)

    @property
    def crowds(self) -> int:
        """How many annotations were left out for being crowds."""
        return len(self.file.annotations) - len(self.prompts)

    def place(self, prompt: Annotation, size: Size | None) -> Place:
        """Where a prompt asks: a box (x1, y1, x2, y2) or a point (x, y), in pixels.

        Args:
            prompt: one of `prompts`, without an error.
            size: (height, width) of its photograph, or None where it is not known.

        Raises:
            ValueError: it has no box or no mask, or a broken one.
        """
        if self.source == "box":
            return prompt.box(size)
        return deepest_point(prompt.mask(size))


def read_annotations(
    path: str | Path, source: PromptSource, *, crowds: bool = False
) -> AnnotationPrompts:
    """Read a COCO or LVIS annotation file as one prompt an annotation.

    Args:
        path: the JSON file.
        source: "box" asks with each annotation's `bbox`; "center-point" with the pixel deepest
            inside its mask.
        crowds: whether annotations that are marked as crowds ask like the others.

    Raises:
        ValueError: see `read_annotation_file`.
    """
    return AnnotationPrompts(read_annotation_file(path, crowds=crowds), source)
