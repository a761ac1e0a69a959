"""Embeddings that wait to be filed."""

from __future__ import annotations

import fiftyone as fo
import numpy as np

from ovsam_plugin import label_dataset
from ovsam_plugin.dataset import embedding_index
from ovsam_plugin.dataset.embedder import Embedder
from ovsam_plugin.dataset.embedding_spool import EmbeddingSpool
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
