"""Labelled datasets where this package is not, and back again."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
import pytest
from fiftyone.core.brain import BrainMethod

from ovsam_plugin import evaluate_dataset, label_dataset, relabel_dataset, remove_run, search
from ovsam_plugin.dataset import embedding_index
from ovsam_plugin.dataset.embedder import Embedder

LITE = Embedder("ovsam-lite", "")

STOCK = "fiftyone.brain.internal.core.sklearn.SklearnSimilarity"
SETTINGS: dict[str, Any] = {"device": "cpu", "workers": 0, "progress": False}


@pytest.fixture
def worked_on(named: fo.Dataset) -> fo.Dataset:
    """`named`, relabelled and evaluated."""
    relabel_dataset(named, vocabulary="coco", device="cpu")
    named.compute_metadata(num_workers=1, progress=False)
    named.clone_sample_field("ovsam", "truth")
    evaluate_dataset(named, "ovsam", "truth", eval_key="e", protocol="detector")
    return named


def elsewhere(dataset: fo.Dataset, folder: Path, label_id: str) -> list[str]:
    """What the colleague found near a label, with all that is asked of the dataset on the way."""
    script = Path(__file__).with_name("without_package.py")
    command = [sys.executable, "-I", script, dataset.name, folder, label_id]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Unable to load" not in done.stderr
    return done.stdout.split()[-3:]


@pytest.fixture
def gone(worked_on: fo.Dataset) -> Iterator[None]:
    yield
    name = f"{worked_on.name}-copy"
    if fo.dataset_exists(name):
        fo.delete_dataset(name)


@pytest.mark.usefixtures("gone")
def test_a_colleague_without_the_package_opens_searches_exports_clones_and_gives_it_back(
    worked_on: fo.Dataset, tmp_path: Path
) -> None:
    kept = embedding_index.load(worked_on, "ovsam")
    cosines = kept.vectors @ kept.vectors[4]
    found = elsewhere(worked_on, tmp_path, str(kept.label_ids[4]))
    assert found[0] == kept.label_ids[4]
    assert set(found) <= set(kept.label_ids.tolist())
    assert cosines[kept.rows(found)].min() > np.median(cosines)
    # FiftyOne took the vectors' mean off before the second export.
    for folder in ("before", "after"):
        back = fo.Dataset.from_dir(
            dataset_dir=str(tmp_path / folder), dataset_type=fo.types.FiftyOneDataset
        )
        again = embedding_index.load(back, "ovsam")
        assert np.allclose(again.vectors[again.rows(kept.label_ids)], kept.vectors, atol=1e-6)
        names = back.values("ovsam.detections.label")
        relabel_dataset(
            back, vocabulary="cat, cup, person, spoon", label_field="same", device="cpu"
        )
        assert back.values("same.detections.label") == names
        assert len(search(back, "a cat", k=2)) == 2
        assert label_dataset(
            back, vocabulary="cat, cup, person, spoon", box_field="asks", **SETTINGS
        ).kept == len(back)
        remove_run(back, "ovsam")
        assert back.list_evaluations() == []
        back.delete()


def test_an_evaluation_is_made_again_in_its_place_also_after_another_process_loaded_it(
    worked_on: fo.Dataset,
) -> None:
    before = worked_on.load_evaluation_results("e", cache=False).metrics()
    evaluate_dataset(worked_on, "ovsam", "truth", eval_key="e", protocol="everything")
    info = worked_on.get_evaluation_info("e")
    assert type(info.config).__module__.startswith("fiftyone.")
    assert info.config.protocol == "everything"
    assert worked_on.load_evaluation_results("e", cache=False).metrics()["Acc"] == before["Acc"]
    worked_on.clone_sample_field("truth", "other")
    with pytest.raises(ValueError, match="gt_field"):
        evaluate_dataset(worked_on, "ovsam", "other", eval_key="e", protocol="everything")
    assert worked_on.get_evaluation_info("e").config.gt_field == "truth"


def test_an_index_that_an_earlier_version_stored_is_read_and_becomes_fiftyones_own(
    named: fo.Dataset,
) -> None:
    kept = embedding_index.load(named, "ovsam")
    _store_as_before(named, "ovsam_similarity", kept)
    old = named.load_brain_results("ovsam_similarity", cache=False)
    assert old.config.method == "ovsam"
    assert np.array_equal(old.embeddings, kept.vectors)
    assert np.array_equal(embedding_index.load(named, "ovsam").vectors, kept.vectors)
    assert len(search(named, "a cat", k=2)) == 2
    gone = str(kept.label_ids[0])
    named.delete_labels(ids=[gone], fields=["ovsam"])
    embedding_index.refresh(named, "ovsam", LITE)
    document = BrainMethod._get_run_doc(named, "ovsam_similarity")
    document.results.seek(0)
    stored = json.loads(document.results.read())
    assert (stored["cls"], document.config["cls"]) == (f"{STOCK}Index", f"{STOCK}Config")
    assert document.config["supports_prompts"] is True
    left = kept.vectors[kept.rows(stored["label_ids"])]
    assert len(left) == len(kept) - 1
    assert gone not in stored["label_ids"]
    assert np.allclose(np.array(stored["embeddings"]), left, atol=1e-7)


def _store_as_before(dataset: fo.Dataset, key: str, kept: Any) -> None:
    """The documents that version 0.1 wrote."""
    home = "ovsam_plugin.dataset.embedding_backend.EmbeddingSimilarity"
    document = BrainMethod._get_run_doc(dataset, key)
    document.config = {**document.config, "cls": f"{home}Config", "method": "ovsam"}
    document.config.pop("center", None)
    rows = {"sample_ids": kept.sample_ids.tolist(), "label_ids": kept.label_ids.tolist()}
    packed = base64.b64encode(kept.vectors.tobytes()).decode()
    results = {"cls": f"{home}Index", **rows, "packed": packed, "dim": kept.vectors.shape[1]}
    document.results.delete()
    document.results.put(json.dumps(results).encode(), content_type="application/json")
    document.results_meta = {}
    document.save()
    dataset.clear_cache()
