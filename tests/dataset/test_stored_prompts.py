"""Prompts that take the place of answered ones, and are put back where nobody asked them."""

from __future__ import annotations

import fiftyone as fo
import pytest

from ovsam_plugin.dataset.fields import declare_fields
from ovsam_plugin.dataset.stored_prompts import ReplacedPrompts, store_prompts


def box(x: float) -> fo.Detection:
    label = fo.Detection(bounding_box=[x, 0.1, 0.2, 0.2])
    label["annotation_id"] = "7"
    return label


def store(dataset: fo.Dataset, *, overwrite: bool, x: float = 0.1) -> ReplacedPrompts | None:
    first = dataset.first().id
    return store_prompts(dataset, "ovsam_boxes", "ovsam", [first], {first: [box(x)]}, overwrite)


def places(dataset: fo.Dataset) -> list[float]:
    dataset.reload()
    boxes = dataset.first()["ovsam_boxes"].detections
    return [label.bounding_box[0] for label in boxes]


@pytest.fixture
def answered(dataset: fo.Dataset) -> fo.Dataset:
    """A prompt, and its answer."""
    assert store(dataset, overwrite=True) is None  # nothing was there
    declare_fields(dataset, "ovsam")
    sample = dataset.first()
    sample["ovsam"] = fo.Detections(detections=[box(0.1)])
    sample.save()
    return dataset


def test_what_was_replaced_is_put_back_as_long_as_its_answers_are_there(
    answered: fo.Dataset,
) -> None:
    ids = answered.values("ovsam_boxes.detections.id")
    replaced = store(answered, overwrite=True, x=0.5)
    assert replaced is not None
    assert places(answered) == [0.5]
    replaced.put_back(answered)
    assert places(answered) == [0.1]
    assert answered.values("ovsam_boxes.detections.id") == ids


def test_what_was_asked_anew_stays(answered: fo.Dataset) -> None:
    replaced = store(answered, overwrite=True, x=0.5)
    assert replaced is not None
    sample = answered.first()
    sample["ovsam"] = fo.Detections(detections=[box(0.5)])
    sample.save()
    replaced.put_back(answered)
    assert places(answered) == [0.5]
