"""The LanceDB table behind an index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.brain as fob
import numpy as np
import pytest

from ovsam_plugin import label_dataset
from ovsam_plugin.dataset import embedding_index, lance_table
from ovsam_plugin.dataset.embedder import Embedder
from ovsam_plugin.dataset.embeddings import StoredEmbeddings

from .conftest import SMALL, ids

LITE = Embedder("ovsam-lite", "")


def test_the_same_labels_can_be_kept_in_lancedb(
    twice: fo.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="FIFTYONE_BRAIN_SIMILARITY_LANCEDB_URI"):
        label_dataset(twice, **SMALL, index_backend="lancedb")
    backends = fob.brain_config.similarity_backends
    monkeypatch.setitem(backends["lancedb"], "uri", str(tmp_path / "lance"))
    label_dataset(twice, **SMALL, index_backend="lancedb")
    kept = embedding_index.load(twice, "ovsam")
    assert set(kept.label_ids.tolist()) == ids(twice)
    gone = twice.first().id
    lost = {label.id for label in twice[gone]["ovsam"].detections}
    twice.delete_samples([gone])
    assert embedding_index.refresh(twice, "ovsam", LITE) == len(ids(twice))
    after = embedding_index.load(twice, "ovsam")
    assert lost.isdisjoint(after.label_ids.tolist())
    assert np.allclose(np.linalg.norm(after.vectors, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("first", ["clone", "original"])
def test_a_clone_in_lancedb_and_its_original_do_not_change_each_other(
    twice: fo.Dataset, lance: dict[str, Any], first: str
) -> None:
    label_dataset(twice, **lance)
    clone = twice.clone()
    try:
        one, other = (clone, twice) if first == "clone" else (twice, clone)
        before = embedding_index.load(other, "ovsam")
        one.delete_samples([one.first().id])
        filed = embedding_index.refresh(one, "ovsam", LITE)
        assert filed == len(ids(one)) < len(ids(other))
        assert set(embedding_index.load(one, "ovsam").label_ids.tolist()) == ids(one)
        after = embedding_index.load(other, "ovsam")
        assert np.array_equal(after.label_ids, before.label_ids)
        embedding_index.forget(one, "ovsam")
        assert np.array_equal(embedding_index.load(other, "ovsam").vectors, before.vectors)
    finally:
        clone.delete()


def test_forgetting_a_clones_index_leaves_the_originals(
    twice: fo.Dataset, lance: dict[str, Any]
) -> None:
    label_dataset(twice, **lance)
    clone = twice.clone()
    try:
        embedding_index.forget(clone, "ovsam")
        assert not clone.has_brain_run("ovsam_similarity")
        assert set(embedding_index.load(twice, "ovsam").label_ids.tolist()) == ids(twice)
    finally:
        clone.delete()


def test_a_large_index_in_lancedb_answers_with_exact_scores(
    twice: fo.Dataset, lance: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lance_table, "_CLUSTERED", 300)
    label_dataset(twice, **lance)
    index = embedding_index.opened(twice, "ovsam")
    width = embedding_index.load(twice, "ovsam").vectors.shape[1]
    rows = np.random.default_rng(0).standard_normal((400, width)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    added = StoredEmbeddings(
        np.array([f"{i:024x}" for i in range(400)]), np.array(["s"] * 400), rows
    )
    owners = dict(zip(added.label_ids.tolist(), added.sample_ids.tolist()))
    assert lance_table.rewrite(index, [added], owners) == set(owners)
    table = embedding_index.opened(twice, "ovsam").table
    assert len(table.list_indices()) == 1
    found = table.search(rows[7]).metric("cosine").limit(5).to_arrow()
    assert found["id"][0].as_py() == f"{7:024x}"
    exact = 1 - rows[[int(i, 16) for i in found["id"].to_pylist()]] @ rows[7]
    assert np.allclose(found["_distance"].to_numpy(), exact, atol=1e-5)
