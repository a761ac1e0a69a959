"""What is wrong with an annotation file is said in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ovsam_plugin.evaluation.ground_truth import read_ground_truth
from tests.evaluation.conftest import Annotate


def test_masks_boxes_and_classes_are_read(annotate: Annotate) -> None:
    truth = read_ground_truth(annotate())
    assert truth.categories.names == ("cat", "cup", "person")
    assert [c.id for c in truth.file.categories] == [17, 47, 1]
    assert truth.federated is None
    cat, person = truth.truths[1]
    assert (cat.category, person.category) == (0, 2)
    assert cat.box((300, 451)) == (60, 40, 360, 260)
    mask = cat.mask((300, 451))
    assert mask.box == (60, 40, 360, 260)
    assert mask.area == 300 * 220


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(categories=[]), "without names of classes"),
        (lambda c: c.update(categories=[{"id": 17}]), "must be a string"),
        (lambda c: c.pop("annotations"), 'has no "annotations"'),
        (lambda c: [a.update(category_id=99) for a in c["annotations"]], "no annotation .* 99"),
        (lambda c: [a.update(image_id=99) for a in c["annotations"]], "no annotation .* 99"),
    ],
)
def test_a_file_of_which_nothing_can_be_used_is_refused_with_the_reason(
    annotate: Annotate, change: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        read_ground_truth(annotate(change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["annotations"][0].update(category_id=99), "is of class 99"),
        (lambda c: c["annotations"][0].update(category_id=None), "is of class None"),
        (lambda c: c["annotations"][0].update(image_id=99), "no image with id 99"),
        (lambda c: c["annotations"][0].update(iscrowd="perhaps"), "0 or 1 was expected"),
    ],
)
def test_a_broken_annotation_costs_no_other(annotate: Annotate, change: Any, message: str) -> None:
    whole, truth = read_ground_truth(annotate()), read_ground_truth(annotate(change))
    assert [t.id for t in truth.truths[1]] == [t.id for t in whole.truths[1]][1:]
    assert truth.truths[2][0].category == whole.truths[2][0].category
    (problem,) = truth.problems
    assert message in problem


@pytest.mark.parametrize(
    ("area", "read"), [("15000.0", 15000.0), (7, 7.0), (None, None), ("big", None), (-1, None)]
)
def test_an_area_is_a_number_however_it_is_written(
    annotate: Annotate, area: object, read: float | None
) -> None:
    truth = read_ground_truth(annotate(lambda c: c["annotations"][0].update(area=area)))
    assert truth.truths[1][0].area == read


@pytest.mark.parametrize("segmentation", [None, [], [[1, 1, 2, 2, 3, 3]], {"size": [9, 9]}])
def test_a_mask_that_cannot_be_is_refused(annotate: Annotate, segmentation: object) -> None:
    def plant(content: dict[str, Any]) -> None:
        content["annotations"][0]["segmentation"] = segmentation

    truth = read_ground_truth(annotate(plant)).truths[1][0]
    with pytest.raises(ValueError):
        truth.mask((300, 451))


def test_an_lvis_file_keeps_its_lists_and_frequencies(annotate: Annotate) -> None:
    def lvis(content: dict[str, Any]) -> None:
        for image in content["images"]:
            image.update(coco_url=f"http://x/{image.pop('file_name')}", neg_category_ids=[1])
            image["not_exhaustive_category_ids"] = []
        content["categories"][0].update(frequency="r", synonyms=["cat", "house_cat"])

    truth = read_ground_truth(annotate(lvis))
    assert truth.images[0].file_name == "chelsea.png"
    assert truth.federated is not None
    assert truth.federated[1].negative == (2,)
    assert truth.categories.categories[0].frequency == "r"
    assert "house cat" in truth.categories.categories[0].synonyms
    assert np.array_equal(truth.truths[2][0].category, 1)
