"""COCO and LVIS annotation files as the truth that answers are held against."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ovsam_plugin.annotations import (
    AnnotatedCategory,
    AnnotatedImage,
    Annotation,
    AnnotationFile,
    Id,
    read_annotation_file,
)
from ovsam_plugin.images.mask_crop import MaskCrop
from ovsam_plugin.vocabulary.tables import texts
from ovsam_plugin.vocabulary.vocabulary import Category, Vocabulary


@dataclass(frozen=True, eq=False)
class Truth:
    """One instance of the truth.

    Attributes:
        id: the annotation's id.
        category: its class, a place in `GroundTruth.categories`.
        crowd: whether it is a crowd, which is never asked about and costs no detection.
        annotation: the annotation; None where the truth is no file's.
    """

    id: Id
    category: int
    crowd: bool
    annotation: Annotation | None = None

    def mask(self, image_size: tuple[int, int]) -> MaskCrop:
        """Its mask on an image of (height, width).

        Raises:
            ValueError: the segmentation is missing, broken, empty, or of another size.
        """
        crop = MaskCrop.at(self._written.mask(image_size))
        if not crop.area:
            raise ValueError("the segmentation has no pixel")
        return crop

    def box(self, image_size: tuple[int, int]) -> tuple[float, float, float, float]:
        """xyxy in pixels, as written.

        Raises:
            ValueError: it is missing or broken.
        """
        return self._written.box(image_size)

    @property
    def area(self) -> float | None:
        """In pixels, as written; None where it is not."""
        return None if self.annotation is None else self.annotation.area

    @property
    def _written(self) -> Annotation:
        assert self.annotation is not None, "the truth is no file's"
        return self.annotation


@dataclass(frozen=True, eq=False)
class FederatedLists:
    """What LVIS says of an image beside its annotations, as places in `categories`.

    Attributes:
        negative: classes that were looked for and are not there.
        not_exhaustive: classes of which not every instance is annotated.
    """

    negative: tuple[int, ...]
    not_exhaustive: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """One annotation file.

    Attributes:
        file: what was read.
        truths: by image id, in the file's order.
        categories: the file's classes under their own names, with its synonyms and frequencies.
        federated: by image id; None where the file is not LVIS's.
        problems: annotations that are left out, and why.
    """

    file: AnnotationFile
    truths: Mapping[Id, Sequence[Truth]]
    categories: Vocabulary
    federated: Mapping[Id, FederatedLists] | None
    problems: tuple[str, ...]

    @property
    def path(self) -> Path:
        """Where the file was read."""
        return self.file.path

    @property
    def images(self) -> tuple[AnnotatedImage, ...]:
        """All images, with or without annotations."""
        return self.file.images


def read_ground_truth(path: str | Path, *, crowds: bool = False) -> GroundTruth:
    """Read a COCO or LVIS annotation file, masks still as written.

    Args:
        path: the JSON file.
        crowds: whether annotations that are marked as crowds are instances like the others.

    Raises:
        ValueError: see `read_annotation_file`; or it has no classes, or no annotation is on one of
            its images and of one of its classes.
    """
    file = read_annotation_file(path, crowds=crowds)
    if not file.categories:
        why = f" ({file.notes[0]})" if file.notes else ""
        raise ValueError(
            f'"categories" of {file.path} is empty{why}: without names of classes, no answer can '
            "be right; use the annotation file of a data set with classes"
        )
    truths: dict[Id, list[Truth]] = defaultdict(list)
    problems = list(file.notes)
    for annotation in file.annotations:
        error = annotation.error or annotation.class_error
        if error is not None or annotation.category is None or annotation.image_id is None:
            problems.append(f"annotation {annotation.id}: {error}")
            continue
        truth = Truth(annotation.id, annotation.category, annotation.crowd, annotation)
        truths[annotation.image_id].append(truth)
    if file.annotations and not truths:
        raise ValueError(f"no annotation of {file.path} can be used: {problems[-1]}")
    federated = None
    if file.images and all("neg_category_ids" in image.record for image in file.images):
        federated = {image.id: _federated(image, file) for image in file.images}
    categories = Vocabulary(file.path.name, tuple(map(_category, file.categories)))
    return GroundTruth(file, truths, categories, federated, tuple(problems))


def _category(written: AnnotatedCategory) -> Category:
    return Category(
        written.name,
        texts(written.name, written.synonyms),
        frequency=cast(Any, written.frequency),
    )


def _federated(image: AnnotatedImage, file: AnnotationFile) -> FederatedLists:
    lists = ("neg_category_ids", "not_exhaustive_category_ids")
    return FederatedLists(*(file.places_of(image.record.get(name)) for name in lists))
