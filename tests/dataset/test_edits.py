"""Labels that somebody has changed since their embedding was made."""

from __future__ import annotations

import logging
from pathlib import Path

import fiftyone as fo
import fiftyone.utils.labels as foul
import numpy as np
import pytest
from fiftyone.core.utils import serialize_numpy_array

from ovsam_plugin.curation.relabeling import relabel_dataset
from ovsam_plugin.curation.scores import score_run
from ovsam_plugin.dataset.edits import check_photograph, edited, mark
from ovsam_plugin.dataset.shapes import shape_of

FIELD = "ovsam"


def change(dataset: fo.Dataset, what: str) -> str:
    sample = dataset.first()
    label = sample[FIELD].detections[1]
    if what == "box":
        x, y, width, height = label.bounding_box
        label.bounding_box = [x + 0.01, y, width, height]
    elif what == "shift":  # no sum of the four numbers changes
        x, y, width, height = label.bounding_box
        label.bounding_box = [x + 0.01, y - 0.01, width, height]
    elif what == "mask":
        mask = label.mask.copy()
        mask[: len(mask) // 2] = np.random.default_rng(0).random(mask[: len(mask) // 2].shape) > 0.5
        label.mask = mask
    sample.save()
    return str(label.id)


@pytest.mark.parametrize("what", ["box", "shift", "mask"])
def test_a_changed_box_or_mask_is_seen(named: fo.Dataset, what: str) -> None:
    assert edited(named, FIELD) == set()
    assert edited(named, FIELD) == set()
    label_id = change(named, what)
    assert edited(named, FIELD) == {label_id}
    assert edited(named.limit(1), FIELD) == {label_id}
    assert edited(named.skip(1), FIELD) == set()


def test_names_scores_and_saving_as_it_is_change_no_outline(named: fo.Dataset) -> None:
    for sample in named.iter_samples(autosave=True):
        for label in sample[FIELD].detections:
            label.label = "thing"
            label.mask = label.mask.copy()
            label.tags.append("seen")
    score_run(named, device="cpu")
    assert edited(named, FIELD) == set()


def test_an_edited_instance_keeps_its_name_and_has_no_scores(
    named: fo.Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    label_id = change(named, "mask")
    with caplog.at_level(logging.WARNING):
        summary = relabel_dataset(named, vocabulary=["otter"], label_field="otters", device="cpu")
    assert (summary.instances, summary.edited, summary.others) == (8, 1, 0)
    assert "1 labels keep their names" in caplog.text
    assert "name_instances(dataset, pred_field='ovsam')" in caplog.text
    paths = [f"otters.detections.{name}" for name in ("id", "label")]
    names = dict(zip(*named.values(paths, unwind=True)))
    assert names.pop(label_id) != "otter"
    assert set(names.values()) == {"otter"}
    assert edited(named, "otters") == {label_id}

    assert score_run(named, device="cpu").instances == 8
    paths = [f"{FIELD}.detections.{name}" for name in ("id", "doubt")]
    doubts = dict(zip(*named.values(paths, unwind=True)))
    assert doubts[label_id] is None


def test_an_edit_that_leaves_the_stored_size_as_it_is_is_seen(named: fo.Dataset) -> None:
    sample = named.first()
    label = sample[FIELD].detections[0]
    one, other = (np.eye(4, dtype=bool)[k][None].repeat(4, 0) for k in (1, 2))
    assert len(serialize_numpy_array(one)) == len(serialize_numpy_array(other))
    label.mask = one
    mark(sample[FIELD])
    sample.save()
    assert edited(named, FIELD) == set()
    label.mask = other
    sample.save()
    assert edited(named, FIELD) == {label.id}


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_outlines_that_an_earlier_version_noted_are_read(named: fo.Dataset, version: str) -> None:
    for row in named._sample_collection.find():
        for label in row[FIELD]["detections"]:
            box = np.dot(
                label["bounding_box"], (0.7548776662, 0.5698402910, 0.8191725134, 0.6710436067)
            )
            where = {"_id": row["_id"], f"{FIELD}.detections._id": label["_id"]}
            number = float(box) + len(label["mask"])
            if version == "0.5":
                number = float(2**52 + shape_of(label))
            noted = {"$set": {f"{FIELD}.detections.$.outline": number}}
            named._sample_collection.update_one(where, noted)
    named.reload()
    assert edited(named, FIELD) == set()
    assert edited(named, FIELD) == set()
    label_id = change(named, "shift")
    assert edited(named, FIELD) == {label_id}


@pytest.mark.parametrize("damage", [b"", b"\x89PNG\r\n\x1a\n\0\0"])
def test_a_mask_whose_file_is_damaged_costs_its_own_label(
    named: fo.Dataset, tmp_path: Path, damage: bytes
) -> None:
    foul.export_segmentations(named, FIELD, output_dir=str(tmp_path), progress=False)
    first, *others = named.first()[FIELD].detections
    Path(first.mask_path).write_bytes(damage)
    assert edited(named, FIELD) == {first.id}
    assert score_run(named, device="cpu").instances == named.count(f"{FIELD}.detections") - 1
    summary = relabel_dataset(named, vocabulary="dog, plate", label_field="again", device="cpu")
    assert summary.edited == 1
    assert summary.instances >= len(others)


def test_labels_of_a_photograph_with_other_proportions_are_told_apart(named: fo.Dataset) -> None:
    for sample, (height, width) in zip(named, ((300, 451), (400, 600), (512, 512))):
        labels = sample[FIELD].detections
        for part in (0.3, 0.5, 1, 2.7):  # the same, made smaller or larger
            check_photograph(labels, (round(part * height), round(part * width)))
        with pytest.raises(ValueError, match="now 100 x 700.*not the one that was labelled"):
            check_photograph(labels, (700, 100))


def test_a_box_that_somebody_resized_tells_nothing_of_the_photograph(named: fo.Dataset) -> None:
    label = named.first()[FIELD].detections[0]
    label.bounding_box = [0.1, 0.1, 0.8, 0.05]
    check_photograph([label], (300, 451))
    label.bounding_box = [float("nan"), 0.1, 0.8, 0.05]
    check_photograph([label, fo.Detection(), fo.Detection(outline=1.0)], (300, 451))
