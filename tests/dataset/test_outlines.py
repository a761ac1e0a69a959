"""Labels that somebody has changed since their embedding was made."""

from __future__ import annotations

import logging

import fiftyone as fo
import numpy as np
import pytest

from ovsam_plugin.curation.relabeling import relabel_dataset
from ovsam_plugin.curation.scores import score_run
from ovsam_plugin.dataset.outlines import edited

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
        summary = relabel_dataset(named, vocabulary=["otter"], into="otters", device="cpu")
    assert (summary.instances, summary.edited, summary.others) == (8, 1, 0)
    assert "1 labels keep their names" in caplog.text
    assert "name_instances(dataset, field='ovsam')" in caplog.text
    paths = [f"otters.detections.{name}" for name in ("id", "label")]
    names = dict(zip(*named.values(paths, unwind=True)))
    assert names.pop(label_id) != "otter"
    assert set(names.values()) == {"otter"}
    assert edited(named, "otters") == {label_id}

    assert score_run(named, device="cpu").instances == 8
    paths = [f"{FIELD}.detections.{name}" for name in ("id", "doubt")]
    doubts = dict(zip(*named.values(paths, unwind=True)))
    assert doubts[label_id] is None
