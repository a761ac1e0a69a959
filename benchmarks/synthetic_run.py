"""A dataset as a labelling run of many instances leaves it, but for pictures, and its embeddings.

The vectors are embeddings of names with noise around them, few names being most of them, so that an
index by clusters is asked for what it will be asked for.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import fiftyone as fo
import numpy as np
import numpy.typing as npt
from bson import ObjectId

from ovsam_plugin.dataset import edits, embedding_index, runs
from ovsam_plugin.dataset.embedder import Embedder
from ovsam_plugin.dataset.embeddings import StoredEmbeddings, join
from ovsam_plugin.dataset.fields import declare_fields
from ovsam_plugin.presets import get_preset
from ovsam_plugin.scoring.arrays import unit_rows
from ovsam_plugin.vocabulary import load_vocabulary
from ovsam_plugin.vocabulary.classifier import build_classifier

FIELD = "ovsam"

# About what the two branches' cosines with their names are on photographs.
_NOISE = (1.2, 2.5)
_PART = 20_000
_LABELS_A_WRITE = 10_000
_MASKS = 50
_SCORES = ("confidence", "objectness", "similarity", "head_score", "clip_score", "stability")


def make_dataset(instances: int, a_sample: int = 15, *, masks: bool = False) -> fo.Dataset:
    """The dataset, registered as a run over COCO's names.

    Args:
        instances: labels.
        a_sample: labels of each sample.
        masks: whether labels have masks and scores of their own, as the App's user meets them.
    """
    dataset = fo.Dataset()
    declare_fields(dataset, FIELD)
    vocabulary = load_vocabulary("coco")
    settings = runs.Settings(
        preset="ovsam-lite",
        weights="0" * 64,
        vocabulary=vocabulary.name,
        vocabulary_hash=vocabulary.hash,
    )
    runs.register(dataset, FIELD, settings, vocabulary)
    # Written as FiftyOne stores them: its own way of adding samples would take most of the time.
    template = fo.Detection(label="cat", bounding_box=[0, 0, 1, 1], confidence=0.5)
    first = fo.Sample(filepath="/0.jpg", **{FIELD: fo.Detections(detections=[template])})
    dataset.add_samples([first], progress=False)
    sample = next(iter(dataset._sample_collection.find({})))
    label = {
        **sample[FIELD]["detections"][0],
        "top_labels": ["cat"] * 5,
        "top_scores": [0.1] * 5,
        "prompt_type": "everything",
    }
    dataset.clear()
    labels = _varied(label, instances, vocabulary.names) if masks else _plain(label, instances)
    documents: list[dict[str, Any]] = []
    for start in range(0, instances, a_sample):
        some = [next(labels) for _ in range(min(a_sample, instances - start))]
        own = {"_id": ObjectId(), "filepath": f"/{start}.jpg"}
        documents.append({**sample, **own, FIELD: {"_cls": "Detections", "detections": some}})
        if len(documents) * a_sample >= _LABELS_A_WRITE or start + a_sample >= instances:
            dataset._sample_collection.insert_many(documents)
            documents = []
    dataset.reload()
    return dataset


def _plain(label: dict[str, Any], instances: int) -> Iterator[dict[str, Any]]:
    return ({**label, "_id": ObjectId()} for _ in range(instances))


def _varied(label: dict[str, Any], instances: int, names: list[str]) -> Iterator[dict[str, Any]]:
    rng = np.random.default_rng(0)
    shapes = [_shape(rng) for _ in range(_MASKS)]
    for _ in range(instances):
        best = names[int(rng.zipf(1.3)) % len(names)]
        scores = dict(zip(_SCORES, rng.beta(2, 2, len(_SCORES)).tolist()))
        margin = scores["confidence"] * float(rng.random())
        own = {"_id": ObjectId(), "label": best, "top_labels": [best, *names[:4]], "margin": margin}
        yield {**label, **own, **scores, **shapes[int(rng.integers(_MASKS))]}


def _shape(rng: np.random.Generator) -> dict[str, Any]:
    """The box, mask and outline of a thing with a rough edge, as they are stored."""
    height, width = rng.integers(40, 300, 2)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    mask = x**2 + y**2 + 0.1 * rng.standard_normal((height, width)) <= 1
    box = [*rng.uniform(0, 0.6, 2).tolist(), 0.3, 0.3]
    stored = fo.Detection(bounding_box=box, mask=mask).to_mongo()
    shown = {"bounding_box": box, "mask": mask}
    return {"bounding_box": box, "mask": stored["mask"], "outline": edits.outline(shown)}


def vectors(dataset: fo.Dataset) -> Iterator[StoredEmbeddings]:
    """Embeddings for every label, some at a time."""
    rng = np.random.default_rng(0)
    names = name_embeddings()
    samples, labels = dataset.values(["id", f"{FIELD}.detections.id"])
    pairs = np.array([(s, i) for s, row in zip(samples, labels) for i in row])
    for start in range(0, len(pairs), _PART):
        part = pairs[start : start + _PART]
        shown = names[rng.zipf(1.3, len(part)) % len(names)]
        head, clip = (noisy(rng, shown, share) for share in _NOISE)
        yield StoredEmbeddings(part[:, 1], part[:, 0], join(head, clip))


def name_embeddings() -> npt.NDArray[np.float32]:
    """(N, D) float32 unit vectors of everything that the largest vocabulary calls something."""
    preset = get_preset("ovsam-lite")
    words = load_vocabulary("open-22k")
    return build_classifier(words, preset.text_tower, preset.templates, device="cpu").embeddings


def noisy(
    rng: np.random.Generator, rows: npt.NDArray[np.float32], share: float
) -> npt.NDArray[np.float32]:
    """The rows with something of `share` times their length added in a random direction."""
    noise = rng.standard_normal(rows.shape, dtype=np.float32)
    return unit_rows(rows + share * unit_rows(noise))


def fill_index(dataset: fo.Dataset, backend: str) -> tuple[float, int]:
    """Makes the index; seconds and instances."""
    began = time.perf_counter()
    embedder = Embedder.of(runs.recorded(dataset, FIELD) or {})
    index = embedding_index._create(dataset, FIELD, embedder, backend)
    ids = dataset.values(["id", f"{FIELD}.detections.id"])
    owners = {label_id: sample for sample, row in zip(*ids) for label_id in row}
    known = embedding_index._rewrite(index, vectors(dataset), owners)
    return time.perf_counter() - began, len(known)
