"""Annotation files to prompts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ovsam_plugin.dataset.annotations import read_annotations

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(**content: Any) -> Path:
        path = tmp_path / "gt.json"
        path.write_text(json.dumps(content))
        return path

    return write


IMAGE = {"id": 7, "file_name": "a/b.png", "width": 10, "height": 8}
SQUARE = [[2, 2, 7, 2, 7, 7, 2, 7]]
SIZE = (8, 10)


def test_every_annotation_but_crowds_becomes_a_box_in_the_files_order(write: Write) -> None:
    annotations = [
        {"id": 3, "image_id": 7, "bbox": [1, 2, 3, 4], "iscrowd": 0},
        {"id": 2, "image_id": 7, "bbox": [0, 0, 9, 9], "iscrowd": 1},
        {"id": 1, "image_id": 7, "bbox": [0.5, 0, 1, 1]},
    ]
    path = write(images=[IMAGE], annotations=annotations)
    asked = read_annotations(path, "box")
    assert [p.id for p in asked.prompts] == [3, 1]
    assert [asked.place(p, SIZE) for p in asked.prompts] == [(1, 2, 4, 6), (0.5, 0, 1.5, 1)]
    assert asked.crowds == 1
    assert asked.images[0].size == SIZE
    with_crowds = read_annotations(path, "box", crowds=True)
    assert [p.id for p in with_crowds.prompts] == [3, 2, 1]
    assert with_crowds.crowds == 0


def test_a_centre_point_is_the_middle_of_the_deepest_pixel(write: Write) -> None:
    annotation = {"id": 1, "image_id": 7, "segmentation": SQUARE, "bbox": [0, 0, 1, 1]}
    asked = read_annotations(write(images=[IMAGE], annotations=[annotation]), "center-point")
    assert asked.place(asked.prompts[0], SIZE) == (4.5, 4.5)


def test_a_box_that_is_not_written_is_that_of_the_mask(write: Write) -> None:
    for written in ({}, {"bbox": None}, {"bbox": []}):
        annotation = {"id": 1, "image_id": 7, "segmentation": SQUARE, **written}
        asked = read_annotations(write(images=[IMAGE], annotations=[annotation]), "box")
        assert asked.place(asked.prompts[0], SIZE) == (2, 2, 7, 7)


@pytest.mark.parametrize(
    ("bbox", "reason"),
    [
        (None, "not [x, y, width, height]"),
        ([1, 2, 3], "not [x, y, width, height]"),
        ([1, 2, float("nan"), 4], "not a finite number"),
        ([1, 2, "three", 4], "not a finite number"),
        ([1, 2, True, 4], "not a finite number"),
    ],
)
def test_a_box_that_cannot_be_asked_says_why(write: Write, bbox: object, reason: str) -> None:
    annotation = {"id": 1, "image_id": 7, "bbox": bbox}
    asked = read_annotations(write(images=[IMAGE], annotations=[annotation]), "box")
    with pytest.raises(ValueError) as raised:
        asked.place(asked.prompts[0], SIZE)
    assert reason in str(raised.value)


def test_empty_and_inverted_boxes_stay_as_they_are(write: Write) -> None:
    boxes = [[1, 1, 0, 0], [5, 5, -2, -2], ["1", "2", "3.5", 4]]
    annotations = [{"id": i, "image_id": 7, "bbox": box} for i, box in enumerate(boxes)]
    asked = read_annotations(write(images=[IMAGE], annotations=annotations), "box")
    places = [asked.place(p, SIZE) for p in asked.prompts]
    assert places == [(1, 1, 1, 1), (5, 5, 3, 3), (1, 2, 4.5, 6)]
