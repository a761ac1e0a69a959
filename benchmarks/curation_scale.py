"""How long relabelling, searching and reviewing take on many instances.

    python benchmarks/curation_scale.py [--relabel 10000] [--search 100000] [--lancedb 1000000]

The labels are synthetic (a size of 0 leaves a part out), and so are the vectors: embeddings of
names with noise around them, few names being most of them, so that an index by clusters is asked
for what it will be asked for. Datasets are made in FiftyOne's database and removed. The text tower
is loaded before a question is timed, as in an App that has answered one.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
import numpy.typing as npt
import torch
from bson import ObjectId
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ovsam_plugin.curation.attributes import declare  # noqa: E402
from ovsam_plugin.curation.relabeling import relabel_dataset  # noqa: E402
from ovsam_plugin.curation.review_learning import LEARNING  # noqa: E402
from ovsam_plugin.curation.review_session import Session  # noqa: E402
from ovsam_plugin.curation.search import search  # noqa: E402
from ovsam_plugin.dataset import embedding_index, runs  # noqa: E402
from ovsam_plugin.dataset.embeddings import Embeddings, join  # noqa: E402
from ovsam_plugin.dataset.fields import declare_fields  # noqa: E402
from ovsam_plugin.presets import get_preset  # noqa: E402
from ovsam_plugin.scoring.columns import unit_rows  # noqa: E402
from ovsam_plugin.vocabulary import load_vocabulary  # noqa: E402
from ovsam_plugin.vocabulary.classifier import build_classifier  # noqa: E402

A_SAMPLE = 15
# About what the two branches' cosines with their names are on photographs.
_NOISE = (1.2, 2.5)
_PART = 20_000
_DOCUMENTS = 2_000
_ASKED = 10
_DECISIONS = 21
_DOUBTED = {"$mergeObjects": ["$$d", {"doubt": {"$rand": {}}}]}


def make_dataset(instances: int) -> fo.Dataset:
    """A dataset as a labelling run leaves it, but for pictures and masks."""
    dataset = fo.Dataset()
    declare_fields(dataset, "ovsam")
    vocabulary = load_vocabulary("coco")
    settings = runs.Settings(
        preset="ovsam-lite",
        weights="0" * 64,
        vocabulary=vocabulary.name,
        vocabulary_hash=vocabulary.hash,
    )
    runs.register(dataset, "ovsam", settings, vocabulary)
    # Written as FiftyOne stores them: its own way of adding samples would take most of the time.
    template = fo.Detection(label="cat", bounding_box=[0, 0, 1, 1], confidence=0.5)
    first = fo.Sample(filepath="/0.jpg", ovsam=fo.Detections(detections=[template]))
    dataset.add_samples([first], progress=False)
    sample = next(iter(dataset._sample_collection.find({})))
    label = {**sample["ovsam"]["detections"][0], "top_labels": ["cat"] * 5, "top_scores": [0.1] * 5}
    dataset.clear()
    left = instances
    while left:
        documents = []
        for _ in range(_DOCUMENTS):
            labels = [{**label, "_id": ObjectId()} for _ in range(min(A_SAMPLE, left))]
            left -= len(labels)
            own = {"_id": ObjectId(), "filepath": f"/{left}.jpg"}
            field = {"_cls": "Detections", "detections": labels}
            documents.append({**sample, **own, "ovsam": field})
            if not left:
                break
        dataset._sample_collection.insert_many(documents)
    dataset.reload()
    return dataset


def vectors(dataset: fo.Dataset) -> Iterator[Embeddings]:
    """Embeddings for every label, some at a time."""
    rng = np.random.default_rng(0)
    names = name_embeddings()
    samples, labels = dataset.values(["id", "ovsam.detections.id"])
    pairs = np.array([(s, i) for s, row in zip(samples, labels) for i in row])
    for start in range(0, len(pairs), _PART):
        part = pairs[start : start + _PART]
        shown = names[rng.zipf(1.3, len(part)) % len(names)]
        head, clip = (noisy(rng, shown, share) for share in _NOISE)
        yield Embeddings(part[:, 1], part[:, 0], join(head, clip))


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
    index = embedding_index._create(dataset, "ovsam", "ovsam-lite", backend)
    owners = {i: s for s, row in zip(*dataset.values(["id", "ovsam.detections.id"])) for i in row}
    marked = embedding_index._marked(dataset, "ovsam", vectors(dataset))
    count = embedding_index._rewrite(index, marked, owners)
    return time.perf_counter() - began, count


def time_relabel(instances: int, rows: list[tuple[str, str]]) -> None:
    dataset = make_dataset(instances)
    try:
        fill_index(dataset, "database")
        for vocabulary in ("lvis", "open-22k"):
            names = len(load_vocabulary(vocabulary))
            relabel_dataset(dataset.limit(1), vocabulary=vocabulary, into="warm", device="cpu")
            dataset.delete_sample_field("warm")
            dataset.delete_run("warm")
            into = f"to_{names}"
            summary = relabel_dataset(dataset, vocabulary=vocabulary, into=into, device="cpu")
            what = f"relabel {summary.instances:,} instances over {names:,} names, written"
            rows.append((what, f"{summary.seconds:.2f} s"))
    finally:
        dataset.delete()


def build(instances: int, backend: str, rows: list[tuple[str, str]]) -> fo.Dataset:
    """A dataset with an index."""
    dataset = make_dataset(instances)
    seconds, count = fill_index(dataset, backend)
    rows.append((f"{backend}: index of {count:,}, made and saved", f"{seconds:.1f} s"))
    return dataset


def time_queries(dataset: fo.Dataset, rows: list[tuple[str, str]]) -> None:
    """How long opening takes, and the questions after it."""
    began = time.perf_counter()
    index = embedding_index.opened(dataset, "ovsam")
    index.get_model().embed_prompts(["a cat"])
    seconds = time.perf_counter() - began
    rows.append((f"{index.config.method}: opened, text tower loaded", f"{seconds:.1f} s"))
    words = index.get_model().embed_prompts(["a red bus"])
    asks = {
        "the App's sort_by_similarity in words, best 25": lambda: index.sort_by_similarity(
            "a red bus", k=25
        ),
        "the same by a vector": lambda: index.sort_by_similarity(words, k=25),
        "search() in words, best 25, as patches with their scores": lambda: search(
            dataset, "a red bus"
        ),
    }
    for what, ask in asks.items():
        took = []
        for _ in range(7):
            began = time.perf_counter()
            ask().values("id")
            took.append(time.perf_counter() - began)
        rows.append((f"{index.config.method}: {what}, median of 7", f"{np.median(took):.3f} s"))


def compare_with_exact(dataset: fo.Dataset, rows: list[tuple[str, str]]) -> None:
    """How much of what an exact search finds, which reads every vector, the index finds."""
    share = share_of_exact(embedding_index.opened(dataset, "ovsam").table)
    rows.append((f"lancedb: of the exact best 25, found, mean of {_ASKED}", f"{share:.2f}"))


def share_of_exact(table: Any) -> float:
    """Of the 25 best by an exact search, the share that the index gives, for some names."""
    names = name_embeddings()
    shares = []
    for row in names[:: len(names) // _ASKED][:_ASKED]:
        ask = table.search(join(row[None], row[None])[0]).metric("cosine").limit(25)
        found = set(ask.to_arrow()["id"].to_pylist())
        exact = set(ask.bypass_vector_index().to_arrow()["id"].to_pylist())
        shares.append(len(found & exact) / len(exact))
    return float(np.mean(shares))


def time_review(dataset: fo.Dataset, rows: list[tuple[str, str]]) -> None:
    """The first page of a review, and its decisions; the embeddings' index is open already."""
    declare(dataset, "ovsam")
    doubted = {"$map": {"input": "$ovsam.detections", "as": "d", "in": _DOUBTED}}
    dataset._sample_collection.update_many({}, [{"$set": {"ovsam.detections": doubted}}])
    dataset.reload()
    began = time.perf_counter()
    session = Session.start(dataset, "ovsam", LEARNING)
    rows.append(("review: started in the suggested order", f"{time.perf_counter() - began:.2f} s"))
    took = []
    for _ in range(_DECISIONS):
        began = time.perf_counter()
        session, instance = session.current(dataset)
        assert instance is not None
        session = session.accept(dataset, instance.label.id)
        took.append(time.perf_counter() - began)
    rows.append(("review: the first decision, which makes database indexes", f"{took[0]:.2f} s"))
    rows.append((f"review: a decision, median of {len(took) - 1}", f"{np.median(took[1:]):.3f} s"))


def show(rows: list[tuple[str, str]]) -> None:
    table = Table("what", "figure", title="curation at scale")
    for row in rows:
        table.add_row(*row)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    table.add_row("peak memory of this process", f"{peak:.2f} GB")
    Console(width=110).print(table)


def time_lancedb(instances: int) -> None:
    """Each step in a process of its own, so that each has its own peak of memory."""
    name = "ovsam-curation-scale"
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "FIFTYONE_BRAIN_SIMILARITY_LANCEDB_URI": folder}
        try:
            for step in ("build", "ask", "compare"):
                command = [sys.executable, __file__, "--lancedb", str(instances), "--step", step]
                subprocess.run([*command, "--dataset", name], env=env, check=True)
        finally:
            if fo.dataset_exists(name):
                fo.delete_dataset(name)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--relabel", type=int, default=10_000)
    parser.add_argument("--search", type=int, default=100_000)
    parser.add_argument("--lancedb", type=int, default=1_000_000)
    parser.add_argument("--step", choices=("build", "ask", "compare"), help=argparse.SUPPRESS)
    parser.add_argument("--dataset", help=argparse.SUPPRESS)
    args = parser.parse_args()
    rows: list[tuple[str, str]] = []
    if args.step == "build":
        dataset = build(args.lancedb, "lancedb", rows)
        dataset.name, dataset.persistent = args.dataset, True
        return show(rows)
    if args.step == "ask":
        time_queries(fo.load_dataset(args.dataset), rows)
        return show(rows)
    if args.step == "compare":
        compare_with_exact(fo.load_dataset(args.dataset), rows)
        return show(rows)
    if args.relabel:
        time_relabel(args.relabel, rows)
    if args.search:
        dataset = build(args.search, "database", rows)
        time_queries(dataset, rows)
        time_review(dataset, rows)
        dataset.delete()
    show(rows)
    if args.lancedb:
        time_lancedb(args.lancedb)
    versions = f"torch {torch.__version__}, fiftyone {fo.__version__}"
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, {versions}")
    return None


if __name__ == "__main__":
    main()
