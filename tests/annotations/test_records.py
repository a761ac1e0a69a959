"""The records of an annotation file, by themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ovsam_plugin.annotations.records import (
    AnnotatedCategory,
    AnnotatedImage,
    Annotation,
    AnnotationFile,
)

SQUARE = [[2, 3, 8, 3, 8, 7, 2, 7]]


def annotation(image_id: int | str = 1, error: str | None = None, **record: Any) -> Annotation:
    return Annotation("a", image_id, 0, bool(record.get("iscrowd")), record, error)


@pytest.fixture
def file() -> AnnotationFile:
    return AnnotationFile(
        path=Path("coco.json"),
        images=(AnnotatedImage(1, "a.jpg", (10, 12)), AnnotatedImage("b", "b.jpg", None)),
        annotations=(
            annotation(1, iscrowd=1),
            annotation(1, error="no class"),
            annotation("b"),
            annotation(1),
        ),
        categories=(AnnotatedCategory(7, "cat"), AnnotatedCategory(9, "cup")),
        notes=(),
        content={},
        _places={7: 0, 9: 1, 5: "two classes have this id"},
    )


def test_images_and_classes_are_found_however_their_ids_are_spelled(file: AnnotationFile) -> None:
    for image_id, category_id in ((1, 7), ("1", "7"), (1.0, 7.0)):
        found = file.image_of(image_id)
        assert found is not None
        assert found.file_name == "a.jpg"
        assert file.place_of(category_id) == 0
    for unknown in (3, None, [1], float("nan")):
        assert file.image_of(unknown) is None
        assert file.place_of(unknown) is None


def test_a_class_that_cannot_be_told_has_no_place(file: AnnotationFile) -> None:
    assert file.place_of(5) is None
    assert file.class_error(5) == "two classes have this id"
    assert file.class_error(6) == "it is of class 6, which is not listed"
    assert file.class_error("7") is None
    assert file.places_of([9, 5, "7", 3]) == (1, 0)
    assert file.places_of(None) == file.places_of("7") == ()


def test_an_image_has_its_own_sound_annotations(file: AnnotationFile) -> None:
    assert file.on(1) == (file.annotations[0], file.annotations[3])
    assert file.on("b") == (file.annotations[2],)
    assert file.on(2) == ()


def test_crowds_become_instances_and_the_file_stays_as_it_was(file: AnnotationFile) -> None:
    assert not any(each.crowd for each in file.with_crowds().annotations)
    assert file.annotations[0].crowd
    assert len(file.with_crowds().on(1)) == 2


def test_a_box_is_read_or_taken_from_the_mask() -> None:
    size = (10, 12)
    assert annotation(bbox=[1, 2, 3, 4]).box(None) == (1, 2, 4, 6)
    assert tuple(annotation(segmentation=SQUARE).box(size)) == (2, 3, 8, 7)
    assert annotation(segmentation=SQUARE).mask(size).sum() == 24
    for broken in ({}, {"bbox": [1, 2]}, {"bbox": None}):
        with pytest.raises(ValueError):
            annotation(**broken).box(size)
    with pytest.raises(ValueError):
        annotation(bbox=[1, 2, 3, 4]).mask(size)


@pytest.mark.parametrize(
    ("written", "area"),
    [(12.5, 12.5), ("7", 7.0), (0, 0.0), (-1, None), ("big", None), (None, None)],
)
def test_an_area_is_what_is_written_where_that_is_one(written: object, area: float | None) -> None:
    assert annotation(area=written).area == area
