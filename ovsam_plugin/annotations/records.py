"""What an annotation file holds, one data class a kind of record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ovsam_plugin.annotations.masks import Corners, Mask, Size, box_corners, box_of, mask_of
from ovsam_plugin.annotations.values import Id, id_key, number


@dataclass(frozen=True, eq=False)
class AnnotatedImage:
    """A photograph of the file.

    Attributes:
        id: as the annotations spell it, or as the image does where none is on it.
        file_name: as `photographs.written_name` reads it.
        size: (height, width) in pixels, or None where the file does not say.
        record: as written.
    """

    id: Id
    file_name: str
    size: Size | None
    record: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class AnnotatedCategory:
    """A class of the file.

    Attributes:
        id: as the annotations spell it; of categories that share a name, the one that most of
            them have. None where the file gives none.
        name: in Unicode NFC, white space collapsed.
        synonyms: other names that the file lists (LVIS).
        frequency: LVIS's "f", "c" or "r", or None.
        record: as written.
    """

    id: Id | None
    name: str
    synonyms: tuple[str, ...] = ()
    frequency: str | None = None
    record: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Annotation:
    """One instance of the file.

    Attributes:
        id: as written; its place in the file, "annotations[3]", where it has none.
        image_id: as in `AnnotatedImage.id`; as written where there is no such image.
        category: its class, a place in `AnnotationFile.categories`; None where that is not known.
        crowd: whether it is a crowd.
        record: as written.
        error: why nothing can be done with it, or None.
        class_error: why it has no class, or None.
    """

    id: Id
    image_id: Id | None
    category: int | None
    crowd: bool
    record: Mapping[str, Any]
    error: str | None = None
    class_error: str | None = None

    def box(self, size: Size | None) -> Corners:
        """(x1, y1, x2, y2) in pixels, as written; the mask's where there is no `bbox`.

        Args:
            size: (height, width) of the photograph, or None where it is not known.

        Raises:
            ValueError: it is missing or broken.
        """
        bbox = self.record.get("bbox")
        if not bbox and self.record.get("segmentation"):
            return box_of(self.mask(size))
        return box_corners(bbox)

    def mask(self, size: Size | None) -> Mask:
        """(H, W) bool on a photograph of (height, width).

        Raises:
            ValueError: it is missing, broken, or of another size.
        """
        return mask_of(self.record.get("segmentation"), size)

    @property
    def area(self) -> float | None:
        """In pixels as written; None where the file does not say."""
        area = number(self.record.get("area"))
        return None if area is None or area < 0 else area


@dataclass(frozen=True, eq=False)
class AnnotationFile:
    """One file, its records in the file's order.

    Attributes:
        path: where it was read.
        images: those that can be told apart and have a name, with or without annotations.
        annotations: all, also those with an `error`.
        categories: with distinct names; may be empty.
        notes: what was left out, and why.
        content: the file's object, as written.
    """

    path: Path
    images: tuple[AnnotatedImage, ...]
    annotations: tuple[Annotation, ...]
    categories: tuple[AnnotatedCategory, ...]
    notes: tuple[str, ...]
    content: Mapping[str, Any]
    _places: Mapping[Id, int | str] = field(default_factory=dict, repr=False)

    def image_of(self, image_id: object) -> AnnotatedImage | None:
        """The image with an id, however that is spelled."""
        key = id_key(image_id)
        return None if key is None else self._images.get(key)

    def place_of(self, category_id: object) -> int | None:
        """Where the class with an id stands in `categories`, however that is spelled."""
        return place_in(self._places, category_id)[0]

    def class_error(self, category_id: object) -> str | None:
        """Why there is no class with an id, or None where there is one."""
        return place_in(self._places, category_id)[1]

    def places_of(self, category_ids: object) -> tuple[int, ...]:
        """The classes of a list of ids that are known."""
        ids: Sequence[object] = category_ids if isinstance(category_ids, list | tuple) else ()
        return tuple(place for i in ids if (place := self.place_of(i)) is not None)

    def on(self, image_id: Id) -> tuple[Annotation, ...]:
        """The annotations of an image that nothing is wrong with."""
        return tuple(self._by_image.get(image_id, ()))

    def with_crowds(self) -> AnnotationFile:
        """The same with every crowd as an instance, for files of tools that write them so."""
        return replace(self, annotations=tuple(replace(a, crowd=False) for a in self.annotations))

    @cached_property
    def _images(self) -> dict[Id, AnnotatedImage]:
        found = {id_key(image.id): image for image in self.images}
        return {key: image for key, image in found.items() if key is not None}

    @cached_property
    def _by_image(self) -> dict[Id, list[Annotation]]:
        found: dict[Id, list[Annotation]] = {}
        for annotation in self.annotations:
            if annotation.error is None and annotation.image_id is not None:
                found.setdefault(annotation.image_id, []).append(annotation)
        return found


def place_in(places: Mapping[Id, int | str], category_id: object) -> tuple[int | None, str | None]:
    """The place of the class with an id, and why it has none.

    Args:
        places: by id, places and reasons, as the reader makes them.
        category_id: as written.
    """
    key = id_key(category_id)
    place = None if key is None else places.get(key)
    if isinstance(place, int):
        return place, None
    return None, place or f"it is of class {category_id!r:.40}, which is not listed"
