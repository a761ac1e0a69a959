"""Whether two processes that label one field at once leave what one process leaves.

    python benchmarks/two_processes.py [--rounds 20] [--seed 0]

Each round makes a dataset of its own; two processes label it, on the same samples, on halves or on
views that overlap, started together or a moment apart, the run not registered yet or begun before.
Then every photograph must have the labels that one process gives it, each label one embedding, each
call one record, and nothing may be left waiting. It ends with 1 where that is not so.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence

from kills import BOXES, NAMES, SMALL, in_a_process, photographs

import fiftyone as fo  # isort: skip

from ovsam_plugin import label_dataset
from ovsam_plugin.dataset import embedding_index, runs
from ovsam_plugin.dataset.embedding_spool import EmbeddingSpool

PARTS: dict[str, tuple[slice, slice]] = {
    "the same": (slice(0, 6), slice(0, 6)),
    "halves": (slice(0, 3), slice(3, 6)),
    "overlapping": (slice(0, 4), slice(2, 6)),
}


def asking_dataset(count: int) -> fo.Dataset:
    """Photographs with three boxes each that ask, each time at other places."""
    dataset = fo.Dataset(persistent=True)
    paths, moved = photographs(), random.Random(0)

    def asks() -> fo.Detections:
        shift = moved.uniform(-0.05, 0.1)
        boxes = [fo.Detection(label="thing", bounding_box=[x + shift, *rest]) for x, *rest in BOXES]
        return fo.Detections(detections=boxes)

    samples = [fo.Sample(filepath=paths[i % len(paths)], asks=asks()) for i in range(count)]
    dataset.add_samples(samples, progress=False)
    return dataset


def worker(part: slice, wait: float) -> Callable[[fo.Dataset], None]:
    """The work of one process."""

    def work(dataset: fo.Dataset) -> None:
        time.sleep(wait)
        label_dataset(dataset[part], vocabulary=NAMES, box_field="asks", **SMALL)

    return work


def outcome(dataset: fo.Dataset) -> list[list[str]]:
    """By photograph and prompt, what was found, in the order of the photographs."""
    rows = dataset._sample_collection.find().sort("_id")
    return [
        sorted(
            f"{label['label']} {label['confidence']:.4f} {label['bounding_box']}"
            for label in (row.get("ovsam") or {}).get("detections") or ()
        )
        for row in rows
    ]


def faults(dataset: fo.Dataset, wanted: list[list[str]], calls: int | None) -> list[str]:
    """In words, what is not as one process leaves it.

    Args:
        dataset: as it is.
        wanted: its outcome.
        calls: how many came to their ends and must have left records; None where some were killed.
    """
    said = []
    if outcome(dataset) != wanted:
        said.append("other labels than one process gives")
    labels = Counter(dataset.values("ovsam.detections.id", unwind=True))
    kept = Counter(embedding_index.load(dataset, "ovsam").label_ids.tolist())
    if labels != kept or set(kept.values()) != {1}:
        said.append(f"{len(labels)} labels and {kept.total()} embeddings")
    if (waiting := sum(map(len, EmbeddingSpool(dataset, "ovsam")))) > 0:
        said.append(f"{waiting} embeddings are waiting to be filed")
    known = runs.sessions(dataset, "ovsam")
    if calls is None:
        return said
    if len(known) != calls or sum(session["instances"] for session in known) != len(labels):
        said.append(f"{len(known)} records of {calls} calls")
    return said


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    moments = random.Random(given.seed)
    whole = asking_dataset(6)
    worker(slice(0, 6), 0)(whole)
    wanted = outcome(whole)
    whole.delete()
    found = []
    for number in range(given.rounds):
        name = list(PARTS)[number % len(PARTS)]
        dataset, begun = asking_dataset(6), number % 2
        if begun:
            worker(slice(5, 6), 0)(dataset)
        waits = (0.0, moments.choice((0.0, moments.uniform(0, 2))))
        works = [worker(part, wait) for part, wait in zip(PARTS[name], waits)]
        children = [in_a_process(work, dataset.name) for work in works]
        failed = [os.waitpid(child, 0)[1] for child in children]
        dataset.reload()
        said = faults(dataset, wanted, 2 + begun)
        said += ["a process failed"] if any(failed) else []
        found += [f"round {number}, {name}: {fault}" for fault in said]
        dataset.delete()
    print(f"{given.rounds} rounds: {len(found)} faults", *found, sep="\n", flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
