"""Other names for the same instances."""

from __future__ import annotations

import fiftyone as fo
import numpy as np
import pytest

from ovsam_plugin import label_dataset
from ovsam_plugin.curation import attributes
from ovsam_plugin.curation.relabeling import relabel_dataset
from ovsam_plugin.curation.search import search
from ovsam_plugin.dataset import runs
from ovsam_plugin.dataset.labelers import cached_labeler
from ovsam_plugin.predictor import Predictor

from .conftest import NAMES, SMALL

OTHER = "tabby cat, coffee, astronaut, table, flag"
NUMBERS = ("confidence", "similarity", "head_score", "clip_score", "margin")


def values(dataset: fo.Dataset, field: str, name: str) -> list[object]:
    found: list[object] = dataset.values(f"{field}.detections.{name}", unwind=True)
    return found


def test_names_and_scores_are_those_of_labelling_from_scratch(labelled: fo.Dataset) -> None:
    summary = relabel_dataset(labelled, vocabulary=OTHER, into="again", device="cpu")
    label_dataset(labelled, vocabulary=OTHER, field="scratch", box_field="asks", **SMALL)
    assert summary.instances == 9
    for name in ("label", "top_labels", "bounding_box", "stability", "split", "prompt_id"):
        assert values(labelled, "again", name) == values(labelled, "scratch", name), name
    for name in NUMBERS:
        found, wanted = (values(labelled, field, name) for field in ("again", "scratch"))
        assert np.allclose(found, wanted, atol=1e-3), name
    for found, wanted in zip(
        values(labelled, "again", "mask"), values(labelled, "scratch", "mask")
    ):
        assert np.array_equal(found, wanted)


def test_no_image_is_looked_at_again(labelled: fo.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError("an image was encoded")

    monkeypatch.setattr(Predictor, "encode", refuse)
    cached_labeler.__globals__["_predictor"].cache_clear()
    relabel_dataset(labelled, vocabulary=OTHER, into="again", device="cpu")
    assert set(values(labelled, "again", "label")) <= set(OTHER.split(", "))


def test_the_old_run_stays_and_both_share_ids_and_index(labelled: fo.Dataset) -> None:
    before = values(labelled, "ovsam", "label")
    relabel_dataset(labelled, vocabulary=OTHER, device="cpu", into="again")
    assert values(labelled, "ovsam", "label") == before
    assert values(labelled, "again", "id") == values(labelled, "ovsam", "id")
    assert runs.source_field(labelled, "again") == "ovsam"
    assert len(search(labelled, "a flag", field="again", k=3)) == 3
    twice = relabel_dataset(labelled, vocabulary=NAMES, field="again", into="back", device="cpu")
    assert twice.instances == 9
    assert values(labelled, "back", "label") == before


def test_what_a_person_decided_keeps_its_name(labelled: fo.Dataset) -> None:
    attributes.declare(labelled, "ovsam")
    sample = labelled.first()
    sample["ovsam"].detections[0].label = "my cat"
    sample["ovsam"].detections[0]["review"] = "renamed"
    sample.save()
    summary = relabel_dataset(labelled, vocabulary=OTHER, into="again", device="cpu")
    assert (summary.instances, summary.decided) == (8, 1)
    kept = labelled.first()["again"].detections[0]
    assert (kept.label, kept["review"]) == ("my cat", "renamed")


def test_labels_that_a_person_drew_stay_as_they_are(labelled: fo.Dataset) -> None:
    sample = labelled.first()
    drawn = fo.Detection(label="drawn", bounding_box=[0, 0, 0.1, 0.1])
    sample["ovsam"].detections.append(drawn)
    sample.save()
    summary = relabel_dataset(labelled, vocabulary=OTHER, into="again", device="cpu")
    assert summary.others == 1
    assert labelled.first()["again"].detections[-1].label == "drawn"


def test_scores_made_from_the_old_names_are_forgotten(labelled: fo.Dataset) -> None:
    search(labelled, "a cat")
    relabel_dataset(labelled, vocabulary=OTHER, into="again", device="cpu")
    assert not any(values(labelled, "again", "search_score"))


def test_labels_below_the_least_confidence_are_left_out(labelled: fo.Dataset) -> None:
    summary = relabel_dataset(labelled, vocabulary=OTHER, into="all", device="cpu")
    middle = float(np.median(np.array(values(labelled, "all", "confidence"), float)))
    least = relabel_dataset(
        labelled, vocabulary=OTHER, into="sure", min_confidence=middle, device="cpu"
    )
    sure = np.array(values(labelled, "sure", "confidence"), float)
    assert (sure >= middle).all()
    assert 0 < least.left_out == summary.instances - len(sure)


def test_a_view_alone_is_named(labelled: fo.Dataset) -> None:
    relabel_dataset(labelled.limit(1), vocabulary=OTHER, into="again", device="cpu")
    assert len(labelled.exists("again")) == 1


def test_an_index_older_than_the_labels_is_refused_and_nothing_written(
    labelled: fo.Dataset,
) -> None:
    sample = labelled.first()
    copy = sample["ovsam"].detections[0].copy()
    copy.id = fo.Detection().id
    sample["ovsam"].detections.append(copy)
    sample.save()
    with pytest.raises(ValueError, match="1 of the 10 labels .* have no embedding"):
        relabel_dataset(labelled, vocabulary=OTHER, into="again", device="cpu")
    assert labelled.get_field("again") is None


def test_what_cannot_be_done_is_a_clear_error(labelled: fo.Dataset) -> None:
    relabel_dataset(labelled, vocabulary=OTHER, into="again", device="cpu")
    refused = {
        "already, with names of": {"into": "again"},
        "no relabelling made it": {"into": "asks", "overwrite": True},
        "a field of their own": {"into": "ovsam"},
        "0 to 1, got 2": {"into": "new", "min_confidence": 2},
        "no labelling run filled": {"field": "asks"},
        "there is no field 'ovsm'": {"field": "ovsm"},
    }
    for message, settings in refused.items():
        with pytest.raises(ValueError, match=message):
            relabel_dataset(labelled, **{"vocabulary": NAMES, "device": "cpu", **settings})
    again = relabel_dataset(labelled, vocabulary=NAMES, into="again", overwrite=True, device="cpu")
    assert again.instances == 9
    assert set(values(labelled, "again", "label")) <= set(NAMES.split(", "))
