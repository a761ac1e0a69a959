"""Annotation files to prompts."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp

from ovsam_plugin.dataset.annotations import deepest_point, read_annotations


@pytest.fixture
def write(tmp_path):
    def write(**content):
        path = tmp_path / "gt.json"
        path.write_text(json.dumps(content))
        return path

    return write


IMAGE = {"id": 7, "file_name": "a/b.png", "width": 10, "height": 8}
SQUARE = [[2, 2, 7, 2, 7, 7, 2, 7]]


def test_every_annotation_but_crowds_becomes_a_box_in_the_files_order(write):
    annotations = [
        {"id": 3, "image_id": 7, "bbox": [1, 2, 3, 4], "iscrowd": 0},
        {"id": 2, "image_id": 7, "bbox": [0, 0, 9, 9], "iscrowd": 1},
        {"id": 1, "image_id": 7, "bbox": [0.5, 0, 1, 1]},
    ]
    file = read_annotations(write(images=[IMAGE], annotations=annotations), "box")
    assert [p.id for p in file.prompts] == [3, 1]
    assert [p.box for p in file.prompts] == [(1, 2, 4, 6), (0.5, 0, 1.5, 1)]
    assert file.crowds == 1
    assert file.images[0].size == (8, 10)


def test_a_centre_point_is_the_middle_of_the_deepest_pixel(write):
    annotation = {"id": 1, "image_id": 7, "segmentation": SQUARE, "bbox": [0, 0, 1, 1]}
    (prompt,) = read_annotations(
        write(images=[IMAGE], annotations=[annotation]), "center-point"
    ).prompts
    assert prompt.point == (4.5, 4.5)
    assert prompt.box is None


def test_lvis_images_are_named_by_the_end_of_their_address(write):
    image = {"id": 1, "coco_url": "http://images.example/train2017/000000391895.jpg"}
    file = read_annotations(write(images=[image], annotations=[]), "box")
    assert file.images[0].file_name == "000000391895.jpg"
    assert file.images[0].size is None


def test_synonyms_of_categories_are_read(write):
    categories = [{"id": 5, "name": "taxi", "synonyms": ["taxi", "cab"]}, {"id": 6, "name": "cat"}]
    file = read_annotations(write(images=[], annotations=[], categories=categories), "box")
    assert [(c.id, c.name, c.synonyms) for c in file.categories] == [
        (5, "taxi", ("taxi", "cab")),
        (6, "cat", ()),
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"bbox": None}, "not \\[x, y, width, height\\]"),
        ({"bbox": [1, 2, 3]}, "not \\[x, y, width, height\\]"),
        ({"bbox": [1, 2, float("nan"), 4]}, "not a finite number"),
        ({"bbox": [1, 2, "3", 4]}, "not a finite number"),
        ({"image_id": 99}, "no image with id 99"),
    ],
)
def test_an_annotation_that_cannot_be_asked_stays_with_its_reason(write, change, reason):
    annotation = {"id": 1, "image_id": 7, "bbox": [1, 2, 3, 4]} | change
    (prompt,) = read_annotations(write(images=[IMAGE], annotations=[annotation]), "box").prompts
    assert prompt.box is None
    assert prompt.error is not None
    with pytest.raises(ValueError, match=reason):
        raise ValueError(prompt.error)


def test_empty_and_inverted_boxes_stay_as_they_are(write):
    boxes = [[1, 1, 0, 0], [5, 5, -2, -2]]
    annotations = [{"id": i, "image_id": 7, "bbox": box} for i, box in enumerate(boxes)]
    file = read_annotations(write(images=[IMAGE], annotations=annotations), "box")
    assert [p.box for p in file.prompts] == [(1, 1, 1, 1), (5, 5, 3, 3)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[]", "results file"),
        ("3", "holds a int"),
        ("{}", 'has no "images"'),
        ('{"images": []}', 'has no "annotations"'),
        ('{"images": 4, "annotations": []}', "not a list of objects"),
        ('{"images": [4], "annotations": []}', "not a list of objects"),
        ('{"images": [{"id": 1}], "annotations": []}', "neither"),
        ('{"images": [{"file_name": "a"}], "annotations": []}', "id None"),
        (
            '{"images": [{"id": 1, "file_name": "a"}, {"id": 1, "file_name": "b"}],'
            ' "annotations": []}',
            "more than once",
        ),
        ('{"images": [], "annotations": [{"id": [1], "image_id": 1}]}', "whole number or a text"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1}]}', 'text "name"'),
    ],
)
def test_files_that_are_no_annotation_files_are_rejected(tmp_path, text, reason):
    path = tmp_path / "gt.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=reason):
        read_annotations(path, "box")


def test_a_missing_file_and_one_that_is_not_text_are_rejected(tmp_path):
    with pytest.raises(ValueError, match="there is no annotation file"):
        read_annotations(tmp_path / "none.json", "box")
    (tmp_path / "gt.json").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(ValueError, match="cannot be read as text"):
        read_annotations(tmp_path / "gt.json", "box")


@settings(max_examples=200, deadline=None)
@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_no_pixel_lies_deeper_than_the_one_chosen(mask):
    if not mask.any():
        with pytest.raises(ValueError, match="no pixel"):
            deepest_point(mask)
        return
    padded = np.pad(mask, 1)
    outside = np.argwhere(~padded)
    depth = {
        (int(row) - 1, int(column) - 1): int(((outside - (row, column)) ** 2).sum(axis=1).min())
        for row, column in np.argwhere(padded)
    }
    deepest = max(depth.values())
    x, y = deepest_point(mask)
    assert (y - 0.5, x - 0.5) == min(place for place, d in depth.items() if d == deepest)


def test_the_image_border_counts_as_outside():
    mask = np.zeros((9, 20), dtype=bool)
    mask[:, :5] = True
    assert deepest_point(mask) == (2.5, 2.5)
