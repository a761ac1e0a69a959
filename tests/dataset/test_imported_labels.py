"""A results file's instances on a dataset's samples."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from ovsam_plugin.dataset.imported_labels import import_labels

SIZE = (300, 451)  # of chelsea.png


def rle(box: tuple[int, int, int, int], size: tuple[int, int] = SIZE) -> dict[str, Any]:
    mask = np.zeros(size, np.uint8, order="F")
    mask[box[1] : box[3], box[0] : box[2]] = 1
    found: dict[str, Any] = coco_mask.encode(mask)
    return {"size": list(size), "counts": found["counts"].decode()}


def written(path: Path, rows: Any) -> Path:
    path.write_text(json.dumps(rows))
    return path


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    """Two of the photographs, with ids."""
    images = [
        {"id": 7, "file_name": "chelsea.png", "width": 451, "height": 300},
        {"id": 8, "file_name": "gone.png", "width": 10, "height": 10},
    ]
    categories = [{"id": 1, "name": "cat"}]
    content = {"images": images, "annotations": [], "categories": categories}
    return written(tmp_path / "truth.json", content)


def test_masks_and_boxes_lie_where_the_file_says(
    dataset: fo.Dataset, truth: Path, tmp_path: Path
) -> None:
    rows = [
        {"image_id": 7, "category_id": 1, "segmentation": rle((10, 20, 110, 60)), "score": 0.5},
        {"image_id": "7", "bbox": [45.1, 30, 90.2, 60], "score": 0.25},
    ]
    found = import_labels(dataset, written(tmp_path / "p.json", rows), annotations=truth)
    assert (found.field, found.samples, found.instances, found.problems) == (
        "predictions",
        1,
        2,
        (),
    )
    masked, boxed = dataset.first()["predictions"].detections
    assert (masked.label, masked.confidence) == ("cat", 0.5)
    assert masked.mask.shape == (40, 100)
    assert masked.mask.all()
    x, y, w, h = masked.bounding_box
    assert np.allclose([x * 451, y * 300, w * 451, h * 300], [10, 20, 100, 40])
    assert boxed.mask is None
    assert np.allclose(boxed.bounding_box, [0.1, 0.1, 0.2, 0.2])


def test_file_names_need_no_annotation_file_and_ids_stay(
    dataset: fo.Dataset, tmp_path: Path
) -> None:
    row = {"file_name": "val/chelsea.png", "bbox": [0, 0, 9, 9], "category_name": "kitty"}
    path = written(tmp_path / "p.json", [row, row])
    import_labels(dataset, path, label_field="sam3")
    labels = dataset.first()["sam3"].detections
    assert [label.label for label in labels] == ["kitty", "kitty"]
    assert labels[0].id != labels[1].id
    import_labels(dataset, path, label_field="sam3")
    assert [label.id for label in dataset.first()["sam3"].detections] == [x.id for x in labels]
    other = written(tmp_path / "other.json", [{**row, "bbox": [0, 0, 8, 9]}])
    with pytest.raises(ValueError, match="'sam3' holds other labels on 1 samples"):
        import_labels(dataset, other, label_field="sam3")


def test_what_cannot_be_used_is_left_out_alone_with_its_reason(
    dataset: fo.Dataset, truth: Path, tmp_path: Path
) -> None:
    rows = [
        {"image_id": 7, "bbox": [0, 0, 9, 9]},
        {"image_id": 7, "bbox": [500, 0, 9, 9]},
        {"image_id": 7, "bbox": [0, 0, 9]},
        {"image_id": 7, "segmentation": rle((0, 0, 0, 0))},
        {"image_id": 7, "segmentation": rle((0, 0, 5, 5), (30, 45))},
        {"image_id": 7},
        {"image_id": 8, "bbox": [0, 0, 9, 9]},
        {"image_id": 9, "bbox": [0, 0, 9, 9]},
        {"image_id": 7, "bbox": [0, 0, 9, 9], "score": "high"},
        {"image_id": 7, "bbox": [0, 0, 9, 9], "error": "no answer"},
    ]
    path = written(tmp_path / "p.json", rows)
    found = import_labels(dataset, path, annotations=truth)
    assert found.instances == 1
    reasons = {int(problem.split()[1]): problem for problem in found.problems}
    for index, why in {
        1: "lies outside the 451 x 300",
        2: "is not [x, y, width, height]",
        3: "no pixel",
        4: "30",
        5: "bbox None",
        6: "no photographs of the dataset are called gone.png",
        7: "truth.json has no image with id 9",
        8: "'high' is not a finite number",
        9: "no answer",
    }.items():
        assert why in reasons.pop(index), index
    assert not reasons


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([{"image_id": 7, "bbox": [0, 0, 9, 9]}], "give the annotation file"),
        ([], "it is empty"),
        ({"images": []}, 'has no "annotations"'),
        ([1], "is not a list of results"),
    ],
)
def test_a_file_of_which_nothing_can_be_used_is_refused(
    dataset: fo.Dataset, tmp_path: Path, rows: Any, why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        import_labels(dataset, written(tmp_path / "p.json", rows))
    assert dataset.get_field("predictions") is None


def test_a_field_of_another_type_is_refused(dataset: fo.Dataset, tmp_path: Path) -> None:
    rows = [{"file_name": "chelsea.png", "bbox": [0, 0, 9, 9]}]
    with pytest.raises(ValueError, match="not Detections"):
        import_labels(dataset, written(tmp_path / "p.json", rows), label_field="filepath")


def test_an_annotation_file_needs_no_other_beside_it(dataset: fo.Dataset, truth: Path) -> None:
    with pytest.raises(ValueError, match="truth.json already says what its images are"):
        import_labels(dataset, truth, annotations=truth)
    with pytest.raises(ValueError, match="no annotation of .* can be used: it is empty"):
        import_labels(dataset, truth)


def test_a_view_takes_what_is_on_its_photographs_alone(dataset: fo.Dataset, tmp_path: Path) -> None:
    rows = [{"file_name": f"{n}.png", "bbox": [0, 0, 9, 9]} for n in ("chelsea", "coffee")]
    path = written(tmp_path / "p.json", rows)
    found = import_labels(dataset.limit(1), path, label_field="some")
    assert (found.samples, len(found.problems)) == (1, 1)
    with pytest.raises(ValueError, match="holds copies"):
        import_labels(dataset.to_patches("some"), path)


def annotated(truth: Path, **change: Any) -> Path:
    """The two photographs' file with an annotation, whose class is `change`d."""
    content = json.loads(truth.read_text())
    annotation = {"id": 1, "image_id": 7, "category_id": 1, "bbox": [0, 0, 9, 9]}
    content["annotations"] = [{**annotation, **change.pop("annotation", {})}]
    return written(truth.parent / "whole.json", {**content, **change})


def named(dataset: fo.Dataset, field: str) -> list[str | None]:
    return [label.label for label in dataset.first()[field].detections]


def test_a_file_whose_classes_have_changed_is_another_and_says_what_differs(
    dataset: fo.Dataset, truth: Path, tmp_path: Path
) -> None:
    rows = written(tmp_path / "p.json", [{"file_name": "chelsea.png", "image_id": 7,
                                          "category_id": 1, "bbox": [0, 0, 9, 9]}])  # fmt: skip
    import_labels(dataset, rows, label_field="p")
    why = (
        "'p' holds other labels on 1 samples than p.json, such as chelsea.png: 1 without a class "
        "in the field, 1 cat in the file. Give another field, or clear this one first with "
        "dataset.clear_sample_field('p')"
    )
    with pytest.raises(ValueError, match=re.escape(why)):
        import_labels(dataset, rows, label_field="p", annotations=truth)
    dataset.clear_sample_field("p")
    import_labels(dataset, rows, label_field="p", annotations=truth)
    assert named(dataset, "p") == ["cat"]

    import_labels(dataset, annotated(truth), label_field="q")
    lynx = [{"id": 1, "name": "lynx"}]
    with pytest.raises(ValueError, match="1 cat in the field, 1 lynx in the file"):
        import_labels(dataset, annotated(truth, categories=lynx), label_field="q")
    moved = annotated(truth, annotation={"bbox": [0, 0, 5, 5]})
    with pytest.raises(ValueError, match="1 cat with another box, mask or score in the file"):
        import_labels(dataset, moved, label_field="q")
    # A name that a person has given since is no difference.
    sample = dataset.first()
    sample["q"].detections[0].label = "tabby"
    sample.save()
    import_labels(dataset, annotated(truth), label_field="q")
    assert named(dataset, "q") == ["tabby"]


def test_empty_lists_are_no_other_labels(dataset: fo.Dataset, truth: Path) -> None:
    for sample in dataset:
        sample["q"] = fo.Detections()
        sample.save()
    import_labels(dataset, annotated(truth), label_field="q")
    assert named(dataset, "q") == ["cat"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"annotation": {"category_id": 99}}, "it is of class 99, which is not listed"),
        (
            {"categories": [{"id": 1, "name": "cat"}, {"id": 1, "name": "dog"}]},
            "two categories have the id 1: 'cat' and 'dog'",
        ),
        ({"categories": [{"id": 1, "name": None}]}, "the name of categories[0] must be a string"),
        (
            {"categories": [{"id": 1, "name": "\ud800"}]},
            "the name of categories[0] holds the control character '\\ud800'",
        ),
        (
            {"annotation": {"category_id": None, "category_name": "\ud800"}},
            "its category_name is '\\ud800', not a name",
        ),
    ],
)
def test_an_instance_whose_class_cannot_be_told_says_why(
    dataset: fo.Dataset, truth: Path, change: dict[str, Any], why: str
) -> None:
    found = import_labels(dataset, annotated(truth, **change))
    assert found.instances == 1
    (problem,) = found.problems
    assert problem.startswith(f"annotation 0 of whole.json: {why}")
    assert problem.endswith("; the instance itself is there, without a class")
    assert named(dataset, "predictions") == [None]


def test_results_without_a_class_have_the_same_reasons_and_none_where_they_name_none(
    dataset: fo.Dataset, truth: Path, tmp_path: Path
) -> None:
    row = {"image_id": 7, "bbox": [0, 0, 9, 9]}
    rows = [row, {**row, "category_id": 5}, {**row, "category_id": 5, "category_name": "dog"}]
    found = import_labels(dataset, written(tmp_path / "p.json", rows), annotations=truth)
    (problem,) = found.problems
    assert problem.startswith("result 1 of p.json: it is of class 5, which is not listed")
    assert named(dataset, "predictions") == [None, None, "dog"]
