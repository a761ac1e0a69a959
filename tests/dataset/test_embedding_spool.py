"""Embeddings that wait to be filed."""

from __future__ import annotations

import fiftyone as fo
import numpy as np
import pytest

from ovsam_plugin import label_dataset
from ovsam_plugin.dataset import embedding_index, embedding_spool
from ovsam_plugin.dataset.embedder import Embedder
from ovsam_plugin.dataset.embedding_spool import EmbeddingSpool, sample_of, worker_of
from ovsam_plugin.dataset.workers import Worker

from .conftest import SMALL

LITE = Embedder("ovsam-lite", "")


def test_what_is_filed_leaves_the_spool_and_what_others_put_meanwhile_stays(
    boxed: fo.Dataset,
) -> None:
    label_dataset(boxed, **SMALL)
    width = embedding_index.load(boxed, "ovsam").vectors.shape[1]
    row = np.full((1, width), width**-0.5, dtype=np.float32)
    spool, sample = EmbeddingSpool(boxed, "ovsam"), boxed.first()
    with Worker(boxed, "ovsam") as other:
        spool.put(other.token, sample.id, ["a" * 24], row)
        assert embedding_index.refresh(boxed, "ovsam", LITE) == 3
        assert len(spool.keys()) == 1  # its label is written next
        sample["ovsam"].detections.append(fo.Detection(id="a" * 24, bounding_box=[0, 0, 1, 1]))
        sample.save()
        assert embedding_index.refresh(boxed, "ovsam", LITE) == 4
        assert spool.keys() == []
        spool.put(other.token, sample.id, ["b" * 24], row)
        spool.put(other.token, sample.id, ["a" * 24], row)
    # The other one is gone: what it spooled and did not write is forgotten.
    assert embedding_index.refresh(boxed, "ovsam", LITE) == 4
    assert spool.keys() == []


def test_many_labels_of_a_sample_are_put_in_parts_and_read_with_their_keys(
    dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding_spool, "_ROWS_A_KEY", 2)
    monkeypatch.setattr(embedding_spool, "_KEYS", 2)
    rows = np.arange(20, dtype=np.float32).reshape(5, 4)
    spool = EmbeddingSpool(dataset, "ovsam")
    spool.put("worker", "sample", list("abcde"), rows)
    spool.put("worker", "other", [], rows[:0])
    keys = spool.keys()
    assert keys == ["sample.a.worker", "sample.c.worker", "sample.e.worker"]
    assert {(sample_of(key), worker_of(key)) for key in keys} == {("sample", "worker")}
    assert worker_of("sample.a") == ""  # as an earlier version put it
    read = list(spool.read(keys))
    assert [key for some, _ in read for key in some] == [keys[0]] * 2 + [keys[1]] * 2 + [keys[2]]
    assert np.concatenate([part.vectors for _, part in read]).tolist() == rows.tolist()
    assert [i for part in spool for i in part.label_ids.tolist()] == list("abcde")
    spool.forget(keys[:1])
    assert spool.keys() == keys[1:]
    spool.clear()
    assert spool.keys() == []
