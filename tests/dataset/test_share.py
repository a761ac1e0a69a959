"""A share of a labelling, as a worker does it."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import fiftyone as fo
import pytest
from fiftyone import ViewField as F

from ovsam_plugin import label_dataset
from ovsam_plugin.dataset.label_tally import LabelTally
from ovsam_plugin.dataset.labeling_job import LabelingJob
from ovsam_plugin.dataset.share import Share
from ovsam_plugin.dataset.workers import Worker

from .conftest import NAMES, SMALL


def share_of(samples: fo.core.collections.SampleCollection) -> Share:
    """Of a run that has labelled the first photograph, sent between processes and back."""
    dataset = samples._root_dataset
    label_dataset(dataset.limit(1), **SMALL)
    share = Share(
        dataset=dataset.name,
        view=samples.view()._serialize(),
        field="ovsam",
        model={"vocabulary": NAMES},
        prompt_fields={"box_prompt_field": "asks"},
        embeddings=True,
        batch_size=2,
        workers=0,
        since=None,
    )
    found: Share = pickle.loads(pickle.dumps(share))
    return found


def test_the_ids_that_are_given_are_labelled_and_counted_as_they_go(boxed: fo.Dataset) -> None:
    share, tally = share_of(boxed), LabelTally()
    second = boxed.values("id")[1]
    assert share.label([second], "cpu", tally=tally) is tally
    assert (tally.labelled, tally.instances, tally.failed) == (1, 1, 0)
    boxed.reload()
    assert [bool(found) for found in boxed.values("ovsam.detections.id")] == [True, True, False]


def test_a_share_that_is_begun_again_labels_nothing_twice(boxed: fo.Dataset) -> None:
    share = share_of(boxed)
    ids = boxed.values("id")
    assert share.label(ids, "cpu").labelled == 2
    assert share.label(ids, "cpu").labelled == 0
    assert boxed.count("ovsam.detections") == 3
    with Worker(boxed, "ovsam") as worker:
        assert worker.claim(ids) == ids  # nothing stays claimed


def test_what_others_have_not_tried_is_labelled_too_and_what_failed_there_is_not(
    boxed: fo.Dataset,
) -> None:
    share = share_of(boxed)
    first, second, third = boxed.values("id")
    sample = boxed[third]
    sample["ovsam_error"] = "another has tried"
    sample.save()
    assert share.label([first], "cpu", helping=[first, second, third]).labelled == 1
    boxed.reload()
    assert [bool(found) for found in boxed.values("ovsam.detections.id")] == [True, True, False]
    assert share.label([third], "cpu").labelled == 1


def test_processes_that_load_are_parted_among_those_that_label_on_one_machine(
    boxed: fo.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    share, loading = share_of(boxed), []

    class Job(LabelingJob):
        def __init__(self, *args: Any, workers: int | None, **settings: Any) -> None:
            loading.append(workers)
            super().__init__(*args, workers=0, **settings)

    monkeypatch.setattr("ovsam_plugin.dataset.share.LabelingJob", Job)
    monkeypatch.setattr(
        "fiftyone.utils.torch.recommend_num_workers",
        lambda given=None: 24 if given is None else given,
    )
    for given, together in ((None, 1), (None, 5), (None, 96), (3, 5), (0, 5)):
        replace(share, workers=given).label([], "cpu", together=together)
    assert loading == [24, 5, 1, 3, 0]


def test_a_view_asks_with_what_it_shows_alone(boxed: fo.Dataset) -> None:
    for sample in boxed.iter_samples(autosave=True):
        sample["asks"].detections.append(fo.Detection(label="b", bounding_box=[0.1, 0.4, 0.3, 0.5]))
    view = boxed.filter_labels("asks", F("label") == "b")
    tally = share_of(view).label(boxed.values("id")[1:2], "cpu")
    assert tally.instances == 1
