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
    assert truth.category_ids == (17, 47, 1)
    assert truth.federated is None
    cat, person = truth.truths[1]
    assert (cat.category, person.category) == (0, 2)
    assert cat.box == (60, 40, 360, 260)
    mask = cat.mask((300, 451))
    assert mask.box == (60, 40, 360, 260)
    assert mask.area == 300 * 220


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(categories=[]), "without names of classes"),
        (lambda c: c.pop("annotations"), 'has no "annotations"'),
        (lambda c: c["annotations"][0].update(category_id=99), "is of class 99"),
        (lambda c: c["annotations"][0].update(image_id=99), "on image 99"),
        (lambda c: c["annotations"][0].update(id=2), "more than once"),
        (lambda c: c["categories"][0].update(synonyms="puss"), "need a list of texts"),
        (lambda c: c["categories"][0].pop("name"), "must be a string"),
    ],
)
def test_a_broken_file_is_refused_with_the_reason(
    annotate: Annotate, change: Any, message: str
) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        read_ground_truth(annotate(change))


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
