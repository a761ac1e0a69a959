"""How long the App's forms, relabelling, searching and reviewing take on many instances.

    python benchmarks/curation_scale.py [--app 120000] [--relabel 10000] [--search 100000]
                                        [--lancedb 1000000]

A size of 0 leaves a part out. Labels and vectors are synthetic (`synthetic_run.py`); with `--app`
the labels have masks, 80 on each photograph. Datasets are made in FiftyOne's database and removed.
The text tower is loaded before a question is timed, as in an App that has answered one.
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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
import torch
from fiftyone.operators.executor import ExecutionContext
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import operators  # noqa: E402
from benchmarks.synthetic_run import (  # noqa: E402
    FIELD,
    fill_index,
    make_dataset,
    name_embeddings,
)
from ovsam_plugin.curation.attributes import declare  # noqa: E402
from ovsam_plugin.curation.finding_request import FindingRequest  # noqa: E402
from ovsam_plugin.curation.relabeling import relabel_dataset  # noqa: E402
from ovsam_plugin.curation.removal import remove_run, run_traces  # noqa: E402
from ovsam_plugin.curation.review_learning import LEARNING  # noqa: E402
from ovsam_plugin.curation.review_panel import act, open_review  # noqa: E402
from ovsam_plugin.curation.review_session import ReviewSession  # noqa: E402
from ovsam_plugin.curation.scores import score_run  # noqa: E402
from ovsam_plugin.curation.search import search  # noqa: E402
from ovsam_plugin.dataset import embedding_index  # noqa: E402
from ovsam_plugin.dataset.embeddings import join  # noqa: E402
from ovsam_plugin.vocabulary import load_vocabulary  # noqa: E402

# Of embeddings: the best 25 of so many questions are held against an exact search.
_ASKED = 10
_DECISIONS = 21
_DOUBTED = {"$mergeObjects": ["$$d", {"doubt": {"$rand": {}}}]}
# Instances of each photograph in the part that times the App.
_IN_THE_APP = 80


def time_relabel(instances: int, rows: list[tuple[str, str]]) -> None:
    dataset = make_dataset(instances)
    try:
        fill_index(dataset, "database")
        for vocabulary in ("lvis", "open-22k"):
            names = len(load_vocabulary(vocabulary))
            relabel_dataset(
                dataset.limit(1), vocabulary=vocabulary, label_field="warm", device="cpu"
            )
            dataset.delete_sample_field("warm")
            dataset.delete_run("warm")
            into = f"to_{names}"
            summary = relabel_dataset(
                dataset, vocabulary=vocabulary, label_field=into, device="cpu"
            )
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
    session = ReviewSession.start(dataset, "ovsam", LEARNING)
    rows.append(("review: started in the suggested order", f"{time.perf_counter() - began:.2f} s"))
    took = []
    for _ in range(_DECISIONS):
        began = time.perf_counter()
        session = decide(dataset, session)
        took.append(time.perf_counter() - began)
    rows.append(("review: the first decision, which makes database indexes", f"{took[0]:.2f} s"))
    rows.append((f"review: a decision, median of {len(took) - 1}", f"{np.median(took[1:]):.3f} s"))


def time_app(instances: int, rows: list[tuple[str, str]]) -> None:
    """What somebody waits for who works on a run in the App, without drawing."""
    dataset = make_dataset(instances, _IN_THE_APP, masks=True)
    try:
        fill_index(dataset, "database")
        took = timed(lambda: score_run(dataset))
        rows.append((f"app: {instances:,} instances scored", f"{took:.1f} s"))
        forms = {op.__name__: timed(lambda op=op: form(op, dataset)) for op in with_forms()}
        slowest = max(forms, key=lambda name: forms[name])
        rows.append((f"app: the slowest form to open, {slowest}", f"{forms[slowest]:.2f} s"))
        finding = FindingRequest.from_params({"kind": "doubtful"}, dataset)
        took = timed(lambda: len(finding.view(dataset)))
        rows.append(("app: the most doubtful tenth, as patches", f"{took:.2f} s"))
        states: list[dict[str, Any]] = []
        took = timed(lambda: states.append(open_review(dataset, {"field": FIELD})["session"]))
        rows.append(("app: a review opened", f"{took:.2f} s"))
        decided = [timed(lambda: states.append(pressed(dataset, states[-1]))) for _ in range(9)]
        rows.append(("app: the first decision", f"{decided[0]:.2f} s"))
        rows.append(("app: a decision, median of 8", f"{np.median(decided[1:]):.3f} s"))
        took = timed(lambda: (run_traces(dataset, FIELD).lines(), remove_run(dataset, FIELD)))
        rows.append(("app: the run removed, with the list before", f"{took:.1f} s"))
    finally:
        dataset.delete()


def timed(call: Callable[[], object]) -> float:
    """Seconds."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def with_forms() -> list[type[foo.Operator]]:
    """The operators that a person opens."""
    asks = foo.Operator.resolve_input
    return [op for op in operators.OPERATORS if op.resolve_input is not asks and not _unlisted(op)]


def _unlisted(operator: type[foo.Operator]) -> bool:
    return bool(operator().config.unlisted)


def form(operator: type[foo.Operator], dataset: fo.Dataset) -> None:
    """Opens a form on the run, as the App does each time that a value changes."""
    made = operator()
    request = {"dataset_name": dataset.name, "params": {"field": FIELD}}
    made.resolve_input(ExecutionContext(request, operator_uri=f"@ovsam/curation/{made.name}"))


def decide(dataset: fo.Dataset, session: ReviewSession) -> ReviewSession:
    """Accepts the instance that is shown."""
    session, instance = session.current(dataset)
    assert instance is not None
    return session.accept(dataset, instance.label.id)


def pressed(dataset: fo.Dataset, state: dict[str, Any]) -> dict[str, Any]:
    """What the panel sends for a press of "Accept", and the review's state after it."""
    label = state["waiting"][0]["label_id"]
    told = act(dataset, state, [{"kind": "accept", "labels": [label]}])
    assert not told["problems"], told["problems"]
    after: dict[str, Any] = told["session"]
    return after


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
    parser.add_argument("--app", type=int, default=120_000)
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
    if args.app:
        time_app(args.app, rows)
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
