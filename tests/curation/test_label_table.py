"""Labels as columns."""

from __future__ import annotations

import fiftyone as fo
import numpy as np
from fiftyone import ViewField as F

from ovsam_plugin.curation.label_table import LabelTable

FIELD = "ovsam"


def test_labels_come_in_the_order_of_their_samples_with_what_was_asked(
    labelled: fo.Dataset,
) -> None:
    table = LabelTable.read(labelled, FIELD, ("label", "confidence", "never"))
    assert len(table) == 7
    assert table.ids == labelled.values(f"{FIELD}.detections.id", unwind=True)
    assert [str(owner) for owner in table.samples] == [
        sample.id for sample in labelled for _ in sample[FIELD].detections
    ]
    assert table.columns["label"] == ["cat", "dog", "cup", "cup", "spoon", "person", None]
    assert table.columns["never"] == [None] * 7
    assert set(table.columns) == {"label", "confidence", "never"}


def test_a_missing_value_is_nan_among_numbers_and_not_given(labelled: fo.Dataset) -> None:
    table = LabelTable.read(labelled, FIELD, ("margin",))
    numbers = table.numbers("margin")
    assert numbers.dtype == np.float64
    assert np.isnan(numbers).tolist() == [False] * 6 + [True]
    assert numbers[0] == 0.8
    assert table.given("margin").tolist() == [True] * 6 + [False]


def test_of_a_view_what_it_shows_is_read(labelled: fo.Dataset) -> None:
    view = labelled.filter_labels(FIELD, F("label") == "cup")
    assert LabelTable.read(view, FIELD, ("label",)).columns["label"] == ["cup", "cup"]
    assert len(LabelTable.read(labelled.limit(1), FIELD, ())) == 3


def test_samples_without_labels_and_a_field_that_is_not_there_have_no_rows(
    labelled: fo.Dataset,
) -> None:
    labelled.first().clear_field(FIELD)
    sample = labelled.first()
    sample[FIELD] = None
    sample.save()
    assert len(LabelTable.read(labelled, FIELD, ())) == 4
    assert len(LabelTable.read(labelled, "nothing", ("label",))) == 0


def test_what_another_handle_wrote_is_read(labelled: fo.Dataset) -> None:
    held = labelled.first()
    path = {"_id": held._id}
    changed = {"$set": {f"{FIELD}.detections.0.label": "tabby"}}
    labelled._sample_collection.update_one(path, changed)
    assert held[FIELD].detections[0].label == "cat"
    assert LabelTable.read(labelled, FIELD, ("label",)).columns["label"][0] == "tabby"
