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
from ovsam_plugin.dataset import embedding_index
from ovsam_plugin.dataset.embedding_spool import EmbeddingSpool
from ovsam_plugin.dataset.internals import brain_document
from ovsam_plugin.dataset.labeler_cache import cached_labeler
from ovsam_plugin.dataset.model import OvsamModel
from ovsam_plugin.images.reading import read_image
from ovsam_plugin.prediction.prompts import Box
from ovsam_plugin.vocabulary import load_vocabulary

from .conftest import NAMES, SMALL, ids

ROOT = Path(__file__).resolve().parents[2]


def test_both_embeddings_are_kept_as_the_network_gave_them(twice: fo.Dataset) -> None:
    label_dataset(twice, **SMALL)
    kept = embedding_index.load(twice, "ovsam")
    assert set(kept.label_ids.tolist()) == ids(twice)
    predictor = cached_labeler("ovsam-lite", load_vocabulary(NAMES), "cpu").predictor
    sample = twice.first()
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


def test_a_similarity_run_of_somebody_else_is_left_alone(twice: fo.Dataset) -> None:
    label_dataset(twice, **SMALL, embeddings=False)
    of_their_own = {i: np.eye(8, dtype=np.float32)[[0] * 2] for i in twice.values("id")}
    fob.compute_similarity(
        twice, patches_field="ovsam", embeddings=of_their_own, brain_key="ovsam_similarity"
    )
    before = twice.load_brain_results("ovsam_similarity").get_embeddings()
    with pytest.raises(ValueError, match="'ovsam_similarity' was not made by this plugin"):
        label_dataset(twice, **SMALL)
    with pytest.raises(ValueError, match="of field 'ovsam' are not kept"):
        embedding_index.load(twice, "ovsam")
    with pytest.raises(ValueError, match="of field 'ovsam' are not kept"):
        embedding_index.opened(twice, "ovsam")
    embedding_index.forget(twice, "ovsam")
    twice.clear_cache()
    after = twice.load_brain_results("ovsam_similarity").get_embeddings()
    for found, wanted in zip(after, before):
        assert np.array_equal(found, wanted)


def test_labels_that_are_new_or_gone_come_and_go_with_the_next_run(twice: fo.Dataset) -> None:
    label_dataset(twice.limit(1), **SMALL)
    first = set(embedding_index.load(twice, "ovsam").label_ids.tolist())
    twice.delete_samples([twice.first().id])
    label_dataset(twice, **SMALL)
    kept = set(embedding_index.load(twice, "ovsam").label_ids.tolist())
    assert kept == ids(twice)
    assert kept.isdisjoint(first)


def test_a_run_that_is_made_again_has_a_new_index(twice: fo.Dataset) -> None:
    label_dataset(twice, **SMALL)
    old = set(embedding_index.load(twice, "ovsam").label_ids.tolist())
    label_dataset(twice, **{**SMALL, "vocabulary": "dog, plate"}, overwrite=True)
    new = set(embedding_index.load(twice, "ovsam").label_ids.tolist())
    assert new == ids(twice)
    assert new.isdisjoint(old)


def test_labelling_without_embeddings_says_so_when_they_are_needed(twice: fo.Dataset) -> None:
    label_dataset(twice, **SMALL, embeddings=False)
    assert twice.list_brain_runs() == []
    with pytest.raises(ValueError, match="embeddings of field 'ovsam' are not kept"):
        embedding_index.load(twice, "ovsam")


def test_a_field_that_no_run_filled_is_refused_and_a_renamed_one_named(twice: fo.Dataset) -> None:
    with pytest.raises(ValueError, match="no labelling run filled field 'asks'"):
        embedding_index.load(twice, "asks")
    label_dataset(twice, **SMALL)
    twice.rename_sample_field("ovsam", "mine")
    with pytest.raises(ValueError, match="if a field was 'ovsam' before, rename it back"):
        embedding_index.load(twice, "mine")


def test_a_clone_has_an_index_of_its_own(twice: fo.Dataset) -> None:
    label_dataset(twice, **SMALL)
    clone = twice.clone()
    try:
        embedding_index.forget(twice, "ovsam")
        assert set(embedding_index.load(clone, "ovsam").label_ids.tolist()) == ids(clone)
    finally:
        clone.delete()


KILLED = """
import os, signal, sys
import fiftyone as fo
from ovsam_plugin import label_dataset
from ovsam_plugin.dataset import answer_writer

written = 0
put_labels = answer_writer.put_labels

def killed(*given, **named):
    global written
    written += 1
    if written == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return put_labels(*given, **named)

answer_writer.put_labels = killed
label_dataset(fo.load_dataset(sys.argv[1]), vocabulary="cat, cup, person, spoon", device="cpu",
              workers=0, progress=False, box_field="asks", batch_size=1)
"""


def test_a_killed_run_loses_no_embedding(twice: fo.Dataset) -> None:
    twice.persistent = True
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", KILLED, twice.name], cwd=ROOT, env=env, capture_output=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2000:]
    twice.reload()
    assert twice.list_brain_runs() == []
    assert sum(len(part) for part in EmbeddingSpool(twice, "ovsam")) > 0
    label_dataset(twice, **SMALL)
    assert set(embedding_index.load(twice, "ovsam").label_ids.tolist()) == ids(twice)
    assert list(EmbeddingSpool(twice, "ovsam")) == []


@pytest.mark.parametrize("backend", embedding_index.BACKENDS)
def test_an_index_whose_call_was_killed_before_it_was_stored_is_made_again(
    twice: fo.Dataset, lance: dict[str, Any], backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {**lance, "index_backend": backend}

    def killed(*told: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(embedding_index, "_rewrite", killed)
        with pytest.raises(KeyboardInterrupt):
            label_dataset(twice, **given)
    assert twice.list_brain_runs() == ["ovsam_similarity"]
    brain_document(twice, "ovsam_similarity").update(unset__results=True)
    twice.clear_cache()
    for read in (embedding_index.load, embedding_index.opened):
        with pytest.raises(ValueError, match="of field 'ovsam' are not kept"):
            read(twice, "ovsam")
    assert label_dataset(twice, **given).labelled == 0
    assert set(embedding_index.load(twice, "ovsam").label_ids.tolist()) == ids(twice)
    assert list(EmbeddingSpool(twice, "ovsam")) == []


@pytest.mark.parametrize("backend", embedding_index.BACKENDS)
def test_some_embeddings_are_picked_as_they_are_kept(
    twice: fo.Dataset, lance: dict[str, Any], backend: str
) -> None:
    label_dataset(twice, **{**lance, "index_backend": backend})
    kept = embedding_index.load(twice, "ovsam")
    wanted = kept.label_ids[[3, 1]].tolist()
    found = embedding_index.pick(twice, "ovsam", [*wanted, "0" * 24])
    assert set(found.label_ids.tolist()) == set(wanted)
    assert np.array_equal(found.vectors[found.rows(wanted)], kept.vectors[[3, 1]])
    assert len(embedding_index.pick(twice, "ovsam", ["0" * 24])) == 0


def test_the_zoos_model_spools_nothing(twice: fo.Dataset, model: OvsamModel) -> None:
    twice.apply_model(model, label_field="direct", box_prompt_field="asks", progress=False)
    assert ids(twice, "direct")
    assert twice.list_brain_runs() == []
    assert list(EmbeddingSpool(twice, "direct")) == []
