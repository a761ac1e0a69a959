"""Two that label one field at once, and what a run's labels lack afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
import pytest
from fiftyone import ViewField as F

from ovsam_plugin import label_dataset, relabel_dataset
from ovsam_plugin.dataset import embedding_index
from ovsam_plugin.dataset.labeling_job import LabelingJob
from ovsam_plugin.dataset.workers import Worker

ROOT = Path(__file__).resolve().parents[2]
SMALL: dict[str, Any] = {
    "vocabulary": "cat, cup, person, spoon",
    "box_field": "asks",
    "device": "cpu",
    "workers": 0,
    "progress": False,
}


def label_ids(dataset: fo.Dataset) -> set[str]:
    return set(dataset.values("ovsam.detections.id", unwind=True))


def test_two_processes_on_one_field_leave_what_one_leaves() -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "benchmarks/two_processes.py", "--rounds", "3"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "3 rounds: 0 faults" in done.stdout


def test_samples_that_another_has_are_waited_for_and_taken_over(
    boxed: fo.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = boxed.first().id
    with Worker(boxed, "ovsam") as other:
        other.claim([first])
        # The other one dies when it is waited for.
        monkeypatch.setattr(
            "ovsam_plugin.dataset.labeling_job.time.sleep", lambda _: other.release([first])
        )
        assert label_dataset(boxed, **SMALL).labelled == 3
    assert len(label_ids(boxed)) == len(embedding_index.load(boxed, "ovsam")) == 3


def test_two_views_of_the_same_samples_answer_what_each_of_them_asks(
    boxed: fo.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    for sample in boxed.iter_samples(autosave=True):
        sample["asks"].detections[0].label = "a"
        other = fo.Detection(label="b", bounding_box=[0.1, 0.4, 0.3, 0.5])
        sample["asks"].detections.append(other)
    one, two = (boxed.filter_labels("asks", F("label") == name) for name in "ab")
    work = LabelingJob._pass

    def meanwhile(job: LabelingJob, ids: Sequence[str], bar: Any) -> list[str]:
        monkeypatch.undo()
        assert label_dataset(two.limit(2), **SMALL).instances == 2
        return work(job, ids, bar)

    monkeypatch.setattr(LabelingJob, "_pass", meanwhile)
    assert label_dataset(one, **SMALL).instances == 3
    assert label_dataset(two, **SMALL).instances == 1
    asked = boxed.values("asks.detections.id", unwind=True)
    assert sorted(boxed.values("ovsam.detections.prompt_id", unwind=True)) == sorted(asked)
    assert len(embedding_index.load(boxed, "ovsam")) == 6
    assert label_dataset(boxed, **SMALL).labelled == 0


def test_another_call_with_other_settings_is_refused_while_one_is_at_work(
    boxed: fo.Dataset,
) -> None:
    label_dataset(boxed.limit(1), **SMALL)
    with Worker(boxed, "ovsam") as other:
        other.begin()
        with pytest.raises(ValueError, match="another call is labelling field 'ovsam' with other"):
            label_dataset(boxed, **{**SMALL, "vocabulary": ["dog"]})
        with pytest.raises(ValueError, match="another call is labelling field 'ovsam' now"):
            label_dataset(boxed, **SMALL, overwrite=True)
        assert label_dataset(boxed, **SMALL).labelled == 2


def test_embeddings_that_were_not_kept_are_made_by_the_next_call(boxed: fo.Dataset) -> None:
    label_dataset(boxed, **SMALL)
    wanted = embedding_index.load(boxed, "ovsam")
    before = boxed.values("ovsam.detections.id")
    embedding_index.forget(boxed, "ovsam")
    with pytest.raises(ValueError, match="label again with the settings of that run"):
        relabel_dataset(boxed, vocabulary=["dog"], device="cpu")
    assert label_dataset(boxed, **SMALL).labelled == 0
    assert boxed.values("ovsam.detections.id") == before
    made = embedding_index.load(boxed, "ovsam")
    rows = made.rows(wanted.label_ids.tolist())
    assert (rows >= 0).all()
    # From the masks; some were asked in a closer look, by boxes.
    assert (np.sum(made.vectors[rows] * wanted.vectors, axis=1) > 0.95).all()
    likeness = made.vectors[rows] @ wanted.vectors.T
    assert likeness.argmax(1).tolist() == list(range(len(rows)))
    assert relabel_dataset(boxed, vocabulary=["dog"], device="cpu").instances == 3


def test_labels_that_came_from_another_dataset_get_their_embeddings(boxed: fo.Dataset) -> None:
    other = boxed.clone()
    try:
        other.delete_samples(other.limit(1))
        boxed.delete_samples(boxed.skip(1))
        for dataset in (boxed, other):
            label_dataset(dataset, **SMALL)
        boxed.merge_samples(other, progress=False)
    finally:
        other.delete()
    assert label_dataset(boxed, **SMALL).labelled == 0
    assert set(embedding_index.load(boxed, "ovsam").label_ids) == label_ids(boxed)
    assert len(label_ids(boxed)) == 3
