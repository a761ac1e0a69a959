"""Names for instances that came from elsewhere."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import numpy as np
import pytest

from ovsam_plugin.curation import naming
from ovsam_plugin.curation.naming import name_instances
from ovsam_plugin.curation.relabeling import relabel_dataset
from ovsam_plugin.dataset.fields import NAME_ATTRIBUTES

from .conftest import NAMES, SMALL

SETTINGS = {"vocabulary": NAMES, **SMALL}


@pytest.fixture
def drawn(dataset: fo.Dataset) -> fo.Dataset:
    """The photographs with a box, a mask and a named box, as a person would leave them."""
    for sample in dataset:
        mask = np.zeros((40, 60), dtype=bool)
        mask[5:35, 10:50] = True
        sample["drawn"] = fo.Detections(
            detections=[
                fo.Detection(bounding_box=[0.1, 0.1, 0.7, 0.8]),
                fo.Detection(bounding_box=[0.2, 0.2, 0.5, 0.5], mask=mask),
                fo.Detection(label="mine", bounding_box=[0.3, 0.3, 0.4, 0.4]),
            ]
        )
        sample.save()
    return dataset


def test_each_instance_has_a_name_that_says_whose_it_is(drawn: fo.Dataset) -> None:
    summary = name_instances(drawn, pred_field="drawn", **SETTINGS)
    assert (summary.labels.instances, summary.filled) == (9, 0)
    sample = drawn.first()
    named = {label["prompt_id"]: label for label in sample["drawn_named"].detections}
    assert set(named) == {label.id for label in sample["drawn"].detections}
    assert {label.label for label in named.values()} <= set(NAMES.split(", "))
    masked = sample["drawn"].detections[1]
    assert named[masked.id]["prompt_type"] == "mask"
    assert named[sample["drawn"].detections[0].id]["prompt_type"] == "box"
    assert [label.label for label in sample["drawn"].detections] == [None, None, "mine"]


def test_a_mask_that_was_drawn_keeps_its_shape(drawn: fo.Dataset) -> None:
    name_instances(drawn, pred_field="drawn", **SETTINGS)
    sample = drawn.first()
    masked = sample["drawn"].detections[1]
    (named,) = (x for x in sample["drawn_named"].detections if x["prompt_id"] == masked.id)
    x, y, w, h = masked.bounding_box
    inside = (x + w * 10 / 60, y + h * 5 / 40, w * 40 / 60, h * 30 / 40)
    assert np.allclose(named.bounding_box, inside, atol=0.01)
    assert named.mask.mean() > 0.99


def test_names_fill_only_what_has_none(drawn: fo.Dataset) -> None:
    summary = name_instances(drawn, pred_field="drawn", fill=True, **SETTINGS)
    assert summary.filled == 6
    for sample in drawn:
        first, second, third = sample["drawn"].detections
        named = {label["prompt_id"]: label for label in sample["drawn_named"].detections}
        for label in (first, second):
            for name in NAME_ATTRIBUTES:
                assert label[name] == named[label.id][name], name
        assert (third.label, third.confidence) == ("mine", None)
    assert drawn.get_field("drawn.detections.margin").description
    again = name_instances(drawn, pred_field="drawn", fill=True, **SETTINGS)
    assert (again.filled, again.labels.labelled) == (0, 0)


def test_named_instances_can_be_relabelled(drawn: fo.Dataset) -> None:
    name_instances(drawn, pred_field="drawn", **SETTINGS)
    summary = relabel_dataset(
        drawn, pred_field="drawn_named", vocabulary="dog, table", label_field="other", device="cpu"
    )
    assert summary.instances == 9


def test_polylines_are_named_and_cannot_be_filled(dataset: fo.Dataset) -> None:
    for sample in dataset:
        square = [(0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8)]
        line = fo.Polyline(points=[square], closed=True, filled=True)
        sample["lines"] = fo.Polylines(polylines=[line])
        sample.save()
    with pytest.raises(ValueError, match="holds Polylines, need Detections"):
        name_instances(dataset, pred_field="lines", fill=True, **SETTINGS)
    assert dataset.get_field("lines_named") is None
    assert name_instances(dataset, pred_field="lines", **SETTINGS).labels.instances == 3


def test_a_field_that_is_not_there_is_a_clear_error(drawn: fo.Dataset) -> None:
    with pytest.raises(ValueError, match="there is no field 'drwan'"):
        name_instances(drawn, pred_field="drwan", **SETTINGS)


def test_what_a_person_names_or_deletes_meanwhile_stays_so(
    drawn: fo.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_instances(drawn, pred_field="drawn", **SETTINGS)
    first, second = (d.id for d in drawn.first()["drawn"].detections[:2])
    declare = naming.declare_attributes

    def late(*args: Any) -> None:
        declare(*args)
        drawn.delete_labels(ids=[first], fields=["drawn"])
        sample = drawn.first()
        sample["drawn"].detections[0].label = "by hand"
        sample.save()

    monkeypatch.setattr(naming, "declare_attributes", late)
    name_instances(drawn, pred_field="drawn", fill=True, **SETTINGS)
    left = drawn.first()["drawn"].detections
    assert [d.label for d in left] == ["by hand", "mine"]
    assert left[0].id == second
    assert drawn.count("drawn.detections") == 8
    assert None not in drawn.values("drawn.detections.label", unwind=True)


def test_a_field_that_cannot_be_filled_is_refused_before_anything_is_named(
    drawn: fo.Dataset,
) -> None:
    field = drawn.get_field("drawn.detections.label")
    field.read_only = True
    field.save()
    with pytest.raises(ValueError, match=r"'drawn\.detections\.label' is read-only"):
        name_instances(drawn, pred_field="drawn", fill=True, **SETTINGS)
    assert drawn.get_field("drawn_named") is None
