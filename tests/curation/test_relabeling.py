"""Other names for the same instances."""

from __future__ import annotations

import bson
import fiftyone as fo
import numpy as np
import pytest
from bson import ObjectId

from ovsam_plugin import label_dataset
from ovsam_plugin.curation import attributes, relabeling
from ovsam_plugin.curation.decisions import accept, rename
from ovsam_plugin.curation.relabeling import relabel_dataset
from ovsam_plugin.curation.removal import remove_run
from ovsam_plugin.curation.search import search
from ovsam_plugin.dataset import embedding_index, runs
from ovsam_plugin.dataset.labeler_cache import cached_labeler
from ovsam_plugin.prediction.predictor import Predictor

from .conftest import NAMES, SMALL

OTHER = "tabby cat, coffee, astronaut, table, flag"
NUMBERS = ("confidence", "similarity", "head_score", "clip_score", "margin")


def values(dataset: fo.Dataset, field: str, name: str) -> list[object]:
    found: list[object] = dataset.values(f"{field}.detections.{name}", unwind=True)
    return found


def test_names_and_scores_are_those_of_labelling_from_scratch(named: fo.Dataset) -> None:
    summary = relabel_dataset(named, vocabulary=OTHER, label_field="again", device="cpu")
    label_dataset(named, vocabulary=OTHER, label_field="scratch", box_field="asks", **SMALL)
    assert summary.instances == 9
    for name in ("label", "top_labels", "bounding_box", "stability", "split", "prompt_id"):
        assert values(named, "again", name) == values(named, "scratch", name), name
    for name in NUMBERS:
        found, wanted = (values(named, field, name) for field in ("again", "scratch"))
        assert np.allclose(found, wanted, atol=1e-3), name
    for found, wanted in zip(values(named, "again", "mask"), values(named, "scratch", "mask")):
        assert np.array_equal(found, wanted)


def test_no_image_is_looked_at_again(named: fo.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError("an image was encoded")

    monkeypatch.setattr(Predictor, "encode", refuse)
    cached_labeler.__globals__["_predictor"].cache_clear()
    relabel_dataset(named, vocabulary=OTHER, label_field="again", device="cpu")
    assert set(values(named, "again", "label")) <= set(OTHER.split(", "))


def test_the_old_run_stays_and_both_share_ids_and_index(named: fo.Dataset) -> None:
    before = values(named, "ovsam", "label")
    relabel_dataset(named, vocabulary=OTHER, device="cpu", label_field="again")
    assert values(named, "ovsam", "label") == before
    assert values(named, "again", "id") == values(named, "ovsam", "id")
    assert runs.source_field(named, "again") == "ovsam"
    assert len(search(named, "a flag", pred_field="again", k=3)) == 3
    twice = relabel_dataset(
        named, vocabulary=NAMES, pred_field="again", label_field="back", device="cpu"
    )
    assert twice.instances == 9
    assert values(named, "back", "label") == before


def test_what_a_person_decided_keeps_its_name(named: fo.Dataset) -> None:
    attributes.declare(named, "ovsam")
    sample = named.first()
    sample["ovsam"].detections[0].label = "my cat"
    sample["ovsam"].detections[0]["review"] = "renamed"
    sample.save()
    summary = relabel_dataset(named, vocabulary=OTHER, label_field="again", device="cpu")
    assert (summary.instances, summary.decided) == (8, 1)
    kept = named.first()["again"].detections[0]
    assert (kept.label, kept["review"]) == ("my cat", "renamed")


@pytest.mark.parametrize("field", ["ovsam", "again"])
def test_decisions_that_this_handle_knows_nothing_of_stay(named: fo.Dataset, field: str) -> None:
    relabel_dataset(named, vocabulary=OTHER, label_field="again", device="cpu")
    assert named.get_field(f"{field}.detections.review") is None
    # As another process leaves it, whose schema this one has not read.
    named._sample_collection.update_many(
        {},
        {"$set": {f"{field}.detections.1.review": "renamed", f"{field}.detections.1.label": "x"}},
    )
    summary = relabel_dataset(
        named, vocabulary=["a", "b"], label_field="again", overwrite=True, device="cpu"
    )
    assert (summary.instances, summary.decided) == (6, 3)
    stored = [d for s in named._sample_collection.find({}) for d in s["again"]["detections"]]
    assert [d["label"] for d in stored[1::3]] == ["x"] * 3
    assert [d.get("review") for d in stored[1::3]] == ["renamed"] * 3


def test_labels_that_a_person_drew_stay_as_they_are(named: fo.Dataset) -> None:
    sample = named.first()
    drawn = fo.Detection(label="drawn", bounding_box=[0, 0, 0.1, 0.1])
    sample["ovsam"].detections.append(drawn)
    sample.save()
    summary = relabel_dataset(named, vocabulary=OTHER, label_field="again", device="cpu")
    assert summary.others == 1
    assert named.first()["again"].detections[-1].label == "drawn"


def test_scores_made_from_the_old_names_are_forgotten(named: fo.Dataset) -> None:
    search(named, "a cat")
    relabel_dataset(named, vocabulary=OTHER, label_field="again", device="cpu")
    assert not any(values(named, "again", "search_score"))


def test_labels_below_the_least_confidence_are_left_out(named: fo.Dataset) -> None:
    summary = relabel_dataset(named, vocabulary=OTHER, label_field="all", device="cpu")
    middle = float(np.median(np.array(values(named, "all", "confidence"), float)))
    least = relabel_dataset(
        named, vocabulary=OTHER, label_field="sure", min_confidence=middle, device="cpu"
    )
    sure = np.array(values(named, "sure", "confidence"), float)
    assert (sure >= middle).all()
    assert 0 < least.left_out == summary.instances - len(sure)


def test_a_view_alone_is_named(named: fo.Dataset) -> None:
    relabel_dataset(named.limit(1), vocabulary=OTHER, label_field="again", device="cpu")
    assert len(named.exists("again")) == 1


def test_an_index_older_than_the_labels_is_refused_and_nothing_written(
    named: fo.Dataset,
) -> None:
    sample = named.first()
    copy = sample["ovsam"].detections[0].copy()
    copy.id = fo.Detection().id
    sample["ovsam"].detections.append(copy)
    sample.save()
    with pytest.raises(ValueError, match="1 of the 10 labels .* have no embedding"):
        relabel_dataset(named, vocabulary=OTHER, label_field="again", device="cpu")
    assert named.get_field("again") is None


def test_what_cannot_be_done_is_a_clear_error(named: fo.Dataset) -> None:
    relabel_dataset(named, vocabulary=OTHER, label_field="again", device="cpu")
    refused = {
        "already exists, with names of": {"label_field": "again"},
        "was not made by relabelling": {"label_field": "asks", "overwrite": True},
        "a field of their own": {"label_field": "ovsam"},
        "0 to 1, got 2": {"label_field": "new", "min_confidence": 2},
        "no labelling run filled": {"pred_field": "asks"},
        "there is no field 'ovsm'": {"pred_field": "ovsm"},
    }
    for message, settings in refused.items():
        with pytest.raises(ValueError, match=message):
            relabel_dataset(named, **{"vocabulary": NAMES, "device": "cpu", **settings})
    again = relabel_dataset(
        named, vocabulary=NAMES, label_field="again", overwrite=True, device="cpu"
    )
    assert again.instances == 9
    assert set(values(named, "again", "label")) <= set(NAMES.split(", "))


def test_what_a_person_decided_in_the_new_field_stays_when_it_is_made_again(
    named: fo.Dataset,
) -> None:
    relabel_dataset(named, vocabulary=OTHER, label_field="again", device="cpu")
    first, second = values(named, "again", "id")[:2]
    rename(named, "again", str(first), "tiger", by="ada")
    accept(named, "again", str(second), by="ada")
    kept = values(named, "again", "label")[1]
    summary = relabel_dataset(
        named, vocabulary=["a", "b"], label_field="again", device="cpu", overwrite=True
    )
    assert (summary.instances, summary.decided) == (7, 2)
    assert values(named, "again", "label")[:2] == ["tiger", kept]
    assert set(values(named, "again", "label")[2:]) <= {"a", "b"}
    assert values(named, "again", "review")[:3] == ["renamed", "accepted", None]
    assert values(named, "again", "reviewed_by")[:2] == ["ada", "ada"]
    assert values(named, "ovsam", "review") == [None] * 9


def test_a_label_at_the_least_confidence_stays(named: fo.Dataset) -> None:
    relabel_dataset(named, vocabulary=OTHER, label_field="all", device="cpu")
    found = sorted(float(str(v)) for v in values(named, "all", "confidence"))
    for at in (1, 4, 8):
        into = f"from_{at}"
        least = relabel_dataset(
            named, vocabulary=OTHER, label_field=into, min_confidence=found[at], device="cpu"
        )
        assert sorted(float(str(v)) for v in values(named, into, "confidence")) == found[at:]
        assert (least.left_out, least.instances) == (at, 9 - at)


def test_labels_that_a_person_drew_or_changed_in_the_new_field_stay(named: fo.Dataset) -> None:
    relabel_dataset(named, vocabulary=OTHER, label_field="again", device="cpu")
    sample = named.first()
    labels = sample["again"].detections
    labels[0].bounding_box = [0, 0, 0.5, 0.5]
    labels[1].label = "by hand"
    labels.append(fo.Detection(label="drawn", bounding_box=[0, 0, 0.1, 0.1]))
    sample.save()
    summary = relabel_dataset(
        named, vocabulary=["a", "b"], label_field="again", device="cpu", overwrite=True
    )
    assert (summary.instances, summary.edited) == (7, 2)
    found = named.first()["again"].detections
    assert [found[1].label, found[3].label] == ["by hand", "drawn"]
    assert found[0].bounding_box == [0, 0, 0.5, 0.5]
    relabel_dataset(
        named, vocabulary=["a", "b"], label_field="again", device="cpu", overwrite="all"
    )
    assert set(values(named, "again", "label")) <= {"a", "b"}
    assert len(values(named, "again", "label")) == 9


def test_a_person_s_field_is_replaced_only_by_a_consent_of_its_own(named: fo.Dataset) -> None:
    with pytest.raises(
        ValueError, match="was not made by relabelling; 9 labels in it, made by no run"
    ):
        relabel_dataset(named, vocabulary=NAMES, label_field="asks", overwrite=True, device="cpu")
    assert values(named, "asks", "label") == ["thing"] * 9
    relabel_dataset(named, vocabulary=NAMES, label_field="asks", overwrite="all", device="cpu")
    assert values(named, "asks", "id") == values(named, "ovsam", "id")
    with pytest.raises(ValueError, match='overwrite is False, True or "all"'):
        relabel_dataset(named, vocabulary=NAMES, label_field="asks", overwrite="yes", device="cpu")


def test_instances_that_a_view_hides_are_not_removed(named: fo.Dataset) -> None:
    relabel_dataset(named, vocabulary=OTHER, label_field="again", device="cpu")
    before = values(named, "again", "label")
    view = named.select_labels(ids=values(named, "ovsam", "id")[:3], fields="ovsam")
    shown = named.filter_labels("ovsam", fo.ViewField("prompt_type") == "none", only_matches=False)
    for samples, message in ((view, "samples outside"), (shown, "9 labels .* this view hides")):
        with pytest.raises(ValueError, match=message):
            relabel_dataset(
                samples, vocabulary=["a"], label_field="again", device="cpu", overwrite=True
            )
    assert values(named, "again", "label") == before


def test_unsaved_edits_of_samples_in_memory_stay(named: fo.Dataset) -> None:
    sample, other, _ = list(named)
    sample.tags.append("mine")
    other["ovsam"].detections[0].label = "tabby"
    relabel_dataset(named, vocabulary=OTHER, label_field="again", device="cpu")
    assert sample.tags == ["mine"]
    assert other["ovsam"].detections[0].label == "tabby"
    assert len(sample["again"].detections) == 3


def test_a_read_only_field_is_refused_before_anything_is_computed(
    named: fo.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    relabel_dataset(named, vocabulary=OTHER, label_field="again", device="cpu")
    monkeypatch.setattr(relabeling, "build_recognizer", None)
    for path in ("again", "again.detections.label"):
        field = named.get_field(path)
        field.read_only = True
        field.save()
        with pytest.raises(ValueError, match=f"'{path}' is read-only"):
            relabel_dataset(named, vocabulary=["a"], label_field="again", overwrite=True)
        field.read_only = False
        field.save()


def test_a_sample_without_room_for_a_second_set_of_labels_is_named(named: fo.Dataset) -> None:
    first = named.first()
    found = named._sample_collection.find_one({"_id": ObjectId(first.id)})
    filled = {"x": b"0" * (16 * 1024 * 1024 - len(bson.encode(found)) - 2000)}
    named._sample_collection.update_one({"_id": found["_id"]}, {"$set": {"metadata": filled}})
    with pytest.raises(ValueError, match=r"1 samples have no room .*chelsea\.png.* 16 MB"):
        relabel_dataset(named, vocabulary=OTHER, label_field="again", device="cpu")
    assert named.get_field("again") is None
    view = named.exclude(first.id)
    assert relabel_dataset(view, vocabulary=OTHER, label_field="again", device="cpu").instances == 6


def test_a_view_does_not_remove_what_lies_outside_it(named: fo.Dataset) -> None:
    relabel_dataset(named, vocabulary=OTHER, label_field="again", device="cpu")
    before = values(named, "again", "label")
    with pytest.raises(ValueError, match="2 samples outside this view"):
        relabel_dataset(
            named.limit(1), vocabulary=["a"], label_field="again", device="cpu", overwrite=True
        )
    assert values(named, "again", "label") == before


def test_what_an_evaluation_said_of_the_old_names_is_forgotten(named: fo.Dataset) -> None:
    named.evaluate_detections("ovsam", gt_field="asks", eval_key="e", classwise=False)
    assert any(values(named, "ovsam", "e"))
    relabel_dataset(named, vocabulary=OTHER, label_field="again", device="cpu")
    for name in ("e", "e_id", "e_iou"):
        assert not any(values(named, "again", name)), name
    assert any(values(named, "ovsam", "e"))


def test_a_relabelled_field_keeps_its_embeddings_when_its_source_is_made_again(
    named: fo.Dataset,
) -> None:
    relabel_dataset(named, vocabulary=OTHER, label_field="again", device="cpu")
    found = search(named, "a flag", pred_field="again", k=9).values("id")
    gone = values(named, "ovsam", "id")[0]
    named.delete_labels(ids=[gone], fields=["ovsam"])
    label_dataset(named, vocabulary=NAMES, box_field="asks", **SMALL)
    label_dataset(named, vocabulary=NAMES, box_field="asks", overwrite=True, **SMALL)
    label_dataset(named, vocabulary=OTHER, box_field="asks", overwrite=True, **SMALL)
    assert set(values(named, "ovsam", "id")).isdisjoint(found)
    assert search(named, "a flag", pred_field="again", k=9).values("id") == found
    assert len(search(named, "a flag", k=9)) == 9
    third = relabel_dataset(
        named, vocabulary=NAMES, pred_field="again", label_field="third", device="cpu"
    )
    assert third.instances == 9
    # When nothing is named from the old ones any more, they go.
    for field in ("again", "third"):
        named.delete_sample_field(field)
    label_dataset(named, vocabulary=OTHER, box_field="asks", **SMALL)
    assert set(embedding_index.load(named, "ovsam").label_ids) == set(values(named, "ovsam", "id"))


@pytest.mark.parametrize("path", ["ovsam", "ovsam.detections.label"])
def test_names_of_a_locked_field_go_to_one_that_is_not(named: fo.Dataset, path: str) -> None:
    locked = named.get_field(path)
    locked.read_only = True
    locked.save()
    relabel_dataset(named, vocabulary=OTHER, label_field="again", device="cpu")
    (label_id, *_) = named.values("again.detections.id", unwind=True)
    assert accept(named, "again", label_id) == 1
    assert relabel_dataset(
        named, vocabulary=["cat"], label_field="again", overwrite=True, device="cpu"
    ).decided
    assert remove_run(named, "again").labels
    assert named.get_field(path).read_only
