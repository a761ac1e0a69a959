"""The similarity run that keeps a run's embeddings."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.brain as fob
import numpy as np
import pytest

from ovsam_plugin import label_dataset
from ovsam_plugin.dataset import embedding_index, lance_table
from ovsam_plugin.dataset.embedder import Embedder
from ovsam_plugin.dataset.embedding_spool import EmbeddingSpool
from ovsam_plugin.dataset.embeddings import StoredEmbeddings
from ovsam_plugin.dataset.labeler_cache import cached_labeler
from ovsam_plugin.dataset.model import OvsamModel
from ovsam_plugin.images.reading import read_image
from ovsam_plugin.prediction.prompts import Box
from ovsam_plugin.vocabulary import load_vocabulary

ROOT = Path(__file__).resolve().parents[2]
LITE = Embedder("ovsam-lite", "")
NAMES = "cat, cup, person, spoon"
SMALL: dict[str, Any] = {
    "vocabulary": NAMES,
    "device": "cpu",
    "workers": 0,
    "progress": False,
    "box_field": "asks",
}


@pytest.fixture
def boxed(dataset: fo.Dataset) -> fo.Dataset:
    """The photographs, each with two boxes that ask."""
    for sample in dataset:
        boxes = ([0.2, 0.2, 0.6, 0.6], [0.1, 0.4, 0.3, 0.5])
        asks = [fo.Detection(label="thing", bounding_box=box) for box in boxes]
        sample["asks"] = fo.Detections(detections=asks)
        sample.save()
    return dataset


def ids(dataset: fo.Dataset, field: str = "ovsam") -> set[str]:
    return {i for row in dataset.values(f"{field}.detections.id") for i in row or ()}


def test_both_embeddings_are_kept_as_the_network_gave_them(boxed: fo.Dataset) -> None:
    label_dataset(boxed, **SMALL)
    kept = embedding_index.load(boxed, "ovsam")
    assert set(kept.label_ids.tolist()) == ids(boxed)
    predictor = cached_labeler("ovsam-lite", load_vocabulary(NAMES), "cpu").predictor
    sample = boxed.first()
    image = read_image(Path(sample.filepath))
    height, width = image.shape[:2]
    asks = sample["asks"].detections[0].bounding_box
    box = Box(
        (
            asks[0] * width,
            asks[1] * height,
            (asks[0] + asks[2]) * width,
            (asks[1] + asks[3]) * height,
        )
    )
    (encoding,) = predictor.encode([predictor.preprocess(image)])
    instances = predictor.decode(encoding, [box])
    row = kept.rows([sample["ovsam"].detections[0].id])
    assert np.allclose(kept.head[row], instances.head_embeddings, atol=1e-5)
    assert np.allclose(kept.clip[row], instances.clip_embeddings, atol=1e-5)


def test_fiftyones_own_text_search_answers_from_it(boxed: fo.Dataset) -> None:
    label_dataset(boxed, **SMALL)
    results = boxed.load_brain_results("ovsam_similarity", cache=False)
    view = boxed.to_patches("ovsam").sort_by_similarity(
        "a cat", k=3, brain_key="ovsam_similarity", dist_field="away"
    )
    kept = embedding_index.load(boxed, "ovsam")
    words = results.get_model().embed_prompts(["a cat"])[0]
    away = 1 - kept.vectors @ words
    assert view.values("id") == kept.label_ids[np.argsort(away)[:3]].tolist()
    assert np.allclose(view.values("away"), np.sort(away)[:3], atol=1e-5)
    least = results.sort_by_similarity("a cat", k=1, reverse=True)
    assert least.values("ovsam.detections.id", unwind=True) == [kept.label_ids[away.argmax()]]


def test_asking_for_neighbours_of_an_instance_changes_nothing_that_is_kept(
    boxed: fo.Dataset,
) -> None:
    label_dataset(boxed, **SMALL)
    before = embedding_index.load(boxed, "ovsam")
    results = boxed.load_brain_results("ovsam_similarity")
    one = str(before.label_ids[0])
    nearest = results.sort_by_similarity(one, k=2)
    assert one in nearest.values("ovsam.detections.id", unwind=True)
    assert np.allclose(results.embeddings, before.vectors, atol=1e-7)
    results.find_duplicates(thresh=0.3)
    assert np.allclose(results.embeddings, before.vectors, atol=1e-7)
    results.save()
    assert np.allclose(embedding_index.load(boxed, "ovsam").vectors, before.vectors, atol=1e-7)


@pytest.mark.parametrize("together", ["mean", "post-mean", "post-min", "post-max"])
def test_several_instances_are_asked_about_together_as_fiftyone_promises(
    boxed: fo.Dataset, together: str
) -> None:
    label_dataset(boxed, **SMALL)
    kept = embedding_index.load(boxed, "ovsam")
    results = boxed.load_brain_results("ovsam_similarity")
    asked = kept.vectors[[0, 3]]
    apart = 1 - asked @ kept.vectors.T
    mean = asked.mean(axis=0)
    away = {
        "mean": 1 - kept.vectors @ mean / np.linalg.norm(mean),
        "post-mean": apart.mean(axis=0),
        "post-min": apart.min(axis=0),
        "post-max": apart.max(axis=0),
    }[together]
    _, found, distances = results._kneighbors(
        query=kept.label_ids[[0, 3]].tolist(), k=4, aggregation=together, return_dists=True
    )
    assert np.allclose(distances, np.sort(away)[:4], atol=1e-5)
    assert np.allclose(away[kept.rows(found)], distances, atol=1e-5)


def test_vectors_that_something_else_changed_are_refused(boxed: fo.Dataset) -> None:
    label_dataset(boxed, **SMALL)
    results = boxed.load_brain_results("ovsam_similarity")
    results._embeddings = results.embeddings * 2
    super(type(results), results).save()  # as FiftyOne does
    with pytest.raises(ValueError, match="'ovsam_similarity' are no longer those that were stored"):
        embedding_index.load(boxed, "ovsam")


def test_labels_that_are_new_or_gone_come_and_go_with_the_next_run(boxed: fo.Dataset) -> None:
    label_dataset(boxed.limit(1), **SMALL)
    first = set(embedding_index.load(boxed, "ovsam").label_ids.tolist())
    boxed.delete_samples([boxed.first().id])
    label_dataset(boxed, **SMALL)
    kept = set(embedding_index.load(boxed, "ovsam").label_ids.tolist())
    assert kept == ids(boxed)
    assert kept.isdisjoint(first)


def test_a_run_that_is_made_again_has_a_new_index(boxed: fo.Dataset) -> None:
    label_dataset(boxed, **SMALL)
    old = set(embedding_index.load(boxed, "ovsam").label_ids.tolist())
    label_dataset(boxed, **{**SMALL, "vocabulary": "dog, plate"}, overwrite=True)
    new = set(embedding_index.load(boxed, "ovsam").label_ids.tolist())
    assert new == ids(boxed)
    assert new.isdisjoint(old)


def test_labelling_without_embeddings_says_so_when_they_are_needed(boxed: fo.Dataset) -> None:
    label_dataset(boxed, **SMALL, embeddings=False)
    assert boxed.list_brain_runs() == []
    with pytest.raises(ValueError, match="embeddings of field 'ovsam' are not kept"):
        embedding_index.load(boxed, "ovsam")


def test_a_field_that_no_run_filled_is_refused_and_a_renamed_one_named(boxed: fo.Dataset) -> None:
    with pytest.raises(ValueError, match="no labelling run filled field 'asks'"):
        embedding_index.load(boxed, "asks")
    label_dataset(boxed, **SMALL)
    boxed.rename_sample_field("ovsam", "mine")
    with pytest.raises(ValueError, match="if a field was 'ovsam' before, give it that name again"):
        embedding_index.load(boxed, "mine")


def test_a_clone_has_an_index_of_its_own(boxed: fo.Dataset) -> None:
    label_dataset(boxed, **SMALL)
    clone = boxed.clone()
    try:
        embedding_index.forget(boxed, "ovsam")
        assert set(embedding_index.load(clone, "ovsam").label_ids.tolist()) == ids(clone)
    finally:
        clone.delete()


KILLED = """
import os, signal, sys
import fiftyone as fo
from ovsam_plugin import label_dataset
from ovsam_plugin.dataset import labeling_job

written = 0
put_labels = labeling_job.put_labels

def killed(*given, **named):
    global written
    written += 1
    if written == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return put_labels(*given, **named)

labeling_job.put_labels = killed
label_dataset(fo.load_dataset(sys.argv[1]), vocabulary="cat, cup, person, spoon", device="cpu",
              workers=0, progress=False, box_field="asks", batch_size=1)
"""


def test_a_killed_run_loses_no_embedding(boxed: fo.Dataset) -> None:
    boxed.persistent = True
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", KILLED, boxed.name], cwd=ROOT, env=env, capture_output=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2000:]
    boxed.reload()
    assert boxed.list_brain_runs() == []
    assert sum(len(part) for part in EmbeddingSpool(boxed, "ovsam")) > 0
    label_dataset(boxed, **SMALL)
    assert set(embedding_index.load(boxed, "ovsam").label_ids.tolist()) == ids(boxed)
    assert list(EmbeddingSpool(boxed, "ovsam")) == []


def test_the_same_labels_can_be_kept_in_lancedb(
    boxed: fo.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="FIFTYONE_BRAIN_SIMILARITY_LANCEDB_URI"):
        label_dataset(boxed, **SMALL, index_backend="lancedb")
    backends = fob.brain_config.similarity_backends
    monkeypatch.setitem(backends["lancedb"], "uri", str(tmp_path / "lance"))
    label_dataset(boxed, **SMALL, index_backend="lancedb")
    kept = embedding_index.load(boxed, "ovsam")
    assert set(kept.label_ids.tolist()) == ids(boxed)
    gone = boxed.first().id
    lost = {label.id for label in boxed[gone]["ovsam"].detections}
    boxed.delete_samples([gone])
    assert embedding_index.refresh(boxed, "ovsam", LITE) == len(ids(boxed))
    after = embedding_index.load(boxed, "ovsam")
    assert lost.isdisjoint(after.label_ids.tolist())
    assert np.allclose(np.linalg.norm(after.vectors, axis=1), 1, atol=1e-5)


@pytest.fixture
def lance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """How to label into LanceDB, which keeps its tables in a folder of the test's own."""
    backends = fob.brain_config.similarity_backends
    monkeypatch.setitem(backends["lancedb"], "uri", str(tmp_path / "lance"))
    return {**SMALL, "index_backend": "lancedb"}


@pytest.mark.parametrize("first", ["clone", "original"])
def test_a_clone_in_lancedb_and_its_original_do_not_change_each_other(
    boxed: fo.Dataset, lance: dict[str, Any], first: str
) -> None:
    label_dataset(boxed, **lance)
    clone = boxed.clone()
    try:
        one, other = (clone, boxed) if first == "clone" else (boxed, clone)
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
    boxed: fo.Dataset, lance: dict[str, Any]
) -> None:
    label_dataset(boxed, **lance)
    clone = boxed.clone()
    try:
        embedding_index.forget(clone, "ovsam")
        assert not clone.has_brain_run("ovsam_similarity")
        assert set(embedding_index.load(boxed, "ovsam").label_ids.tolist()) == ids(boxed)
    finally:
        clone.delete()


@pytest.mark.parametrize("backend", embedding_index.BACKENDS)
def test_an_index_that_was_opened_before_more_was_labelled_answers_from_all(
    boxed: fo.Dataset, lance: dict[str, Any], backend: str
) -> None:
    settings = {**lance, "index_backend": backend}
    label_dataset(boxed.limit(1), **settings)
    assert embedding_index.opened(boxed, "ovsam").total_index_size == len(ids(boxed))
    label_dataset(boxed, **settings)
    index = embedding_index.opened(boxed, "ovsam")
    assert index.total_index_size == len(ids(boxed)) > 2
    found = index.sort_by_similarity("a cat", k=100).values("id")
    assert set(found) == set(boxed.values("id"))


@pytest.mark.parametrize("backend", embedding_index.BACKENDS)
def test_some_embeddings_are_picked_as_they_are_kept(
    boxed: fo.Dataset, lance: dict[str, Any], backend: str
) -> None:
    label_dataset(boxed, **{**lance, "index_backend": backend})
    kept = embedding_index.load(boxed, "ovsam")
    wanted = kept.label_ids[[3, 1]].tolist()
    found = embedding_index.pick(boxed, "ovsam", [*wanted, "0" * 24])
    assert set(found.label_ids.tolist()) == set(wanted)
    assert np.array_equal(found.vectors[found.rows(wanted)], kept.vectors[[3, 1]])
    assert len(embedding_index.pick(boxed, "ovsam", ["0" * 24])) == 0


def test_a_large_index_in_lancedb_answers_with_exact_scores(
    boxed: fo.Dataset, lance: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lance_table, "_CLUSTERED", 300)
    label_dataset(boxed, **lance)
    index = embedding_index.opened(boxed, "ovsam")
    width = embedding_index.load(boxed, "ovsam").vectors.shape[1]
    rows = np.random.default_rng(0).standard_normal((400, width)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    added = StoredEmbeddings(
        np.array([f"{i:024x}" for i in range(400)]), np.array(["s"] * 400), rows
    )
    owners = dict(zip(added.label_ids.tolist(), added.sample_ids.tolist()))
    assert lance_table.rewrite(index, [added], owners) == set(owners)
    table = embedding_index.opened(boxed, "ovsam").table
    assert len(table.list_indices()) == 1
    found = table.search(rows[7]).metric("cosine").limit(5).to_arrow()
    assert found["id"][0].as_py() == f"{7:024x}"
    exact = 1 - rows[[int(i, 16) for i in found["id"].to_pylist()]] @ rows[7]
    assert np.allclose(found["_distance"].to_numpy(), exact, atol=1e-5)


def test_the_zoos_model_spools_nothing(boxed: fo.Dataset, model: OvsamModel) -> None:
    boxed.apply_model(model, label_field="direct", box_prompt_field="asks", progress=False)
    assert ids(boxed, "direct")
    assert boxed.list_brain_runs() == []
    assert list(EmbeddingSpool(boxed, "direct")) == []
