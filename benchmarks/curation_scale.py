"""How long relabelling and searching take on many instances.

    python benchmarks/curation_scale.py [--relabel 10000] [--search 100000] [--lancedb 1000000]

The vectors and labels are synthetic (a size of 0 leaves a part out): what is timed does not depend
on their values. A dataset is made in FiftyOne's database and removed. The LanceDB part runs in a
process of its own, so that its peak memory is its own; the text tower is loaded in none of the
timings, as in an App that has answered before.
"""

from __future__ import annotations

import argparse
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import fiftyone as fo
import fiftyone.brain as fob
import numpy as np
import torch
from bson import ObjectId
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ovsam_plugin.curation.relabeling import relabel_dataset  # noqa: E402
from ovsam_plugin.curation.search import search  # noqa: E402
from ovsam_plugin.dataset import embedding_index, runs  # noqa: E402
from ovsam_plugin.dataset.embeddings import Embeddings, join  # noqa: E402
from ovsam_plugin.dataset.fields import declare_fields  # noqa: E402
from ovsam_plugin.vocabulary import load_vocabulary  # noqa: E402

DIM = 384
A_SAMPLE = 15
_PART = 20_000


def unit(rng: np.random.Generator, n: int) -> np.ndarray:
    """(n, DIM) float32 random unit vectors."""
    rows = rng.standard_normal((n, DIM), dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


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
        prompt_fields={},
        find=None,
        min_confidence=None,
        points_per_side=None,
        refine_masks=False,
    )
    runs.register(dataset, "ovsam", settings, vocabulary)
    # Written as FiftyOne stores them: its own way of adding samples would take most of the time.
    documents = []
    template = fo.Detection(label="cat", bounding_box=[0, 0, 1, 1], confidence=0.5)
    first = fo.Sample(filepath="/0.jpg", ovsam=fo.Detections(detections=[template]))
    dataset.add_samples([first], progress=False)
    sample = next(iter(dataset._sample_collection.find({})))
    label = sample["ovsam"]["detections"][0]
    for start in range(0, instances, A_SAMPLE):
        labels = [
            {**label, "_id": ObjectId(), "top_labels": ["cat"] * 5, "top_scores": [0.1] * 5}
            for _ in range(min(A_SAMPLE, instances - start))
        ]
        field = {"_cls": "Detections", "detections": labels}
        documents.append(
            {**sample, "_id": ObjectId(), "filepath": f"/{start + 1}.jpg", "ovsam": field}
        )
    dataset._sample_collection.insert_many(documents)
    dataset._sample_collection.delete_one({"_id": sample["_id"]})
    dataset.reload()
    return dataset


def vectors(dataset: fo.Dataset) -> Iterator[Embeddings]:
    """Random embeddings of every label, some at a time."""
    rng = np.random.default_rng(0)
    samples, labels = dataset.values(["id", "ovsam.detections.id"])
    pairs = np.array([(s, i) for s, row in zip(samples, labels) for i in row])
    for start in range(0, len(pairs), _PART):
        part = pairs[start : start + _PART]
        yield Embeddings(part[:, 1], part[:, 0], join(unit(rng, len(part)), unit(rng, len(part))))


def fill_index(dataset: fo.Dataset, backend: str) -> tuple[float, int]:
    """Makes the index; seconds and instances."""
    began = time.perf_counter()
    index = embedding_index._create(dataset, "ovsam", "ovsam-lite", backend)
    owners = {i: s for s, row in zip(*dataset.values(["id", "ovsam.detections.id"])) for i in row}
    count = embedding_index._rewrite(index, vectors(dataset), owners)
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


def time_search(instances: int, backend: str, rows: list[tuple[str, str]]) -> None:
    dataset = make_dataset(instances)
    try:
        seconds, count = fill_index(dataset, backend)
        rows.append((f"{backend}: index of {count:,}, made and saved", f"{seconds:.1f} s"))
        began = time.perf_counter()
        index = embedding_index.opened(dataset, "ovsam")
        index.get_model().embed_prompts(["a cat"])
        rows.append(
            (f"{backend}: opened, text tower loaded", f"{time.perf_counter() - began:.1f} s")
        )
        for what, ask in (
            ("search() in words, best 25, scores written", lambda: search(dataset, "a red bus")),
            (
                "the App's sort_by_similarity in words, best 25",
                lambda: index.sort_by_similarity("a red bus", k=25),
            ),
        ):
            took = []
            for _ in range(5):
                began = time.perf_counter()
                view = ask()
                view.values("id")
                took.append(time.perf_counter() - began)
            rows.append((f"{backend}, {count:,}: {what}, median of 5", f"{np.median(took):.3f} s"))
    finally:
        embedding_index.forget(dataset, "ovsam")
        dataset.delete()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--relabel", type=int, default=10_000)
    parser.add_argument("--search", type=int, default=100_000)
    parser.add_argument("--lancedb", type=int, default=1_000_000)
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    rows: list[tuple[str, str]] = []
    if args.relabel:
        time_relabel(args.relabel, rows)
    if args.search:
        time_search(args.search, "database", rows)
    if args.lancedb and args.alone:
        with tempfile.TemporaryDirectory() as folder:
            fob.brain_config.similarity_backends["lancedb"]["uri"] = folder
            time_search(args.lancedb, "lancedb", rows)
    table = Table("what", "figure", title="curation at scale")
    for row in rows:
        table.add_row(*row)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    table.add_row("peak memory of this process", f"{peak:.2f} GB")
    Console().print(table)
    if args.lancedb and not args.alone:
        sizes = ["--relabel", "0", "--search", "0", "--lancedb", str(args.lancedb), "--alone"]
        subprocess.run([sys.executable, __file__, *sizes], check=True)
        return
    versions = f"torch {torch.__version__}, fiftyone {fo.__version__}"
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, {versions}")


if __name__ == "__main__":
    main()
