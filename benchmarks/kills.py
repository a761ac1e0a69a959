"""Whether anything is lost when what changes labels is killed, and the same call finishes.

    python benchmarks/kills.py [--rounds 30] [--seed 0] [OPERATION ...]

Each round clones a reviewed dataset, starts the operation in a process of its own, ends it with
SIGKILL (in turn at a random moment of its work, and before a random one of the commands that it
sends to the database), and looks at what the database holds then: each decision and
each label that the operation is not there to take away must be what it was. Then the same call runs
to its end, and must leave what it leaves when nobody disturbs it. It ends with 1 where anything is
lost.

A new operation is one function: it gets the dataset and does its work; `OPERATIONS` says which
fields it may change.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("FIFTYONE_DO_NOT_TRACK", "1")

from pymongo import monitoring  # noqa: E402


class Commands(monitoring.CommandListener):
    """Counts what is sent to the database, and ends the process before a chosen command."""

    count = 0
    last: int | None = None

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        Commands.count += 1
        if Commands.count == Commands.last:
            os.kill(os.getpid(), signal.SIGKILL)

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None: ...

    def failed(self, event: monitoring.CommandFailedEvent) -> None: ...


monitoring.register(Commands())  # before FiftyOne connects

import fiftyone as fo  # noqa: E402

from ovsam_plugin import label_dataset, relabel_dataset, remove_run, score_run  # noqa: E402
from ovsam_plugin.curation import decisions  # noqa: E402
from ovsam_plugin.curation.naming import name_instances  # noqa: E402
from ovsam_plugin.dataset.embedding_spool import EmbeddingSpool  # noqa: E402

PHOTOGRAPHS = ("chelsea.png", "coffee.png", "astronaut.png")
BOXES = ([0.1, 0.1, 0.6, 0.8], [0.3, 0.2, 0.5, 0.5], [0.05, 0.5, 0.4, 0.4])
NAMES = "cat, cup, person, spoon"
SMALL: dict[str, Any] = {"device": "cpu", "workers": 0, "progress": False}
# What differs from call to call, and who was there first.
_VOLATILE = {"_id", "id", "last_modified_at"}

Labels: TypeAlias = dict[str, dict[str, dict[str, Any]]]
"""Labels as stored, by field and id."""


def label(dataset: fo.Dataset) -> None:
    """A reviewed run that goes on: photographs without labels, and a prompt that was added."""
    label_dataset(dataset, vocabulary=NAMES, box_field="asks", **SMALL)


def relabel(dataset: fo.Dataset) -> None:
    """A reviewed relabelling made again over other words."""
    relabel_dataset(
        dataset, vocabulary="dog, plate, woman, fork", label_field="again", overwrite=True
    )


def first_relabel(dataset: fo.Dataset) -> None:
    """A relabelling into a field of its own, which has no consent to replace anything."""
    relabel_dataset(dataset, vocabulary="dog, plate, woman, fork", label_field="fresh")


def score(dataset: fo.Dataset) -> None:
    """The scores of a reviewed run."""
    score_run(dataset, device="cpu")


def name(dataset: fo.Dataset) -> None:
    """Names for instances that were drawn, some of them named and reviewed before."""
    name_instances(dataset, pred_field="drawn", fill=True, vocabulary=NAMES, **SMALL)


def remove(dataset: fo.Dataset) -> None:
    """A run taken away, whose embeddings another run needs."""
    remove_run(dataset, "ovsam")


@dataclass(frozen=True)
class Operation:
    """What is killed.

    Attributes:
        call: the work.
        removes: fields that it takes away.
        done: whether a call that was killed had done all, and would refuse to do it again.
    """

    call: Callable[[fo.Dataset], None]
    removes: tuple[str, ...] = ()
    done: Callable[[fo.Dataset], bool] = lambda dataset: False


OPERATIONS: Mapping[str, Operation] = {
    "label": Operation(label),
    "relabel": Operation(relabel),
    "first_relabel": Operation(first_relabel, done=lambda d: _finished(d, "fresh")),
    "score": Operation(score),
    "name_instances": Operation(name),
    "remove_run": Operation(
        remove, removes=("ovsam", "ovsam_error"), done=lambda d: not d.has_run("ovsam")
    ),
}


def photographs() -> list[str]:
    """The addresses of PHOTOGRAPHS, which scikit-image's wheel carries."""
    skimage = find_spec("skimage")
    assert skimage is not None
    assert skimage.origin is not None
    return [str(Path(skimage.origin).parent / "data" / name) for name in PHOTOGRAPHS]


def reviewed_dataset(copies: int = 2) -> fo.Dataset:
    """Photographs with a run, its relabelling, drawn instances, and a person's decisions on all."""
    dataset = fo.Dataset(persistent=True)
    asks = [fo.Detection(label="thing", bounding_box=box) for box in BOXES]
    samples = [
        fo.Sample(
            filepath=photograph,
            asks=fo.Detections(detections=[label.copy() for label in asks]),
            drawn=fo.Detections(detections=[fo.Detection(bounding_box=BOXES[i % 3])]),
        )
        for i in range(copies)
        for photograph in photographs()
    ]
    dataset.add_samples(samples, progress=False)
    label_dataset(dataset, vocabulary=NAMES, box_field="asks", **SMALL)
    relabel_dataset(dataset, vocabulary="tabby, mug, astronaut", label_field="again", device="cpu")
    name_instances(dataset.limit(2), pred_field="drawn", vocabulary=NAMES, **SMALL)
    for field in ("ovsam", "again", "drawn_named"):
        ids = dataset.values(f"{field}.detections.id", unwind=True)
        decisions.accept(dataset, field, ids[::3], by="ada")
        decisions.rename(dataset, field, ids[1::5], "tiger", by="bob")
        decisions.reject(dataset, field, ids[2::7], by="ada")
    first = dataset.first()
    first["asks"].detections.append(fo.Detection(bounding_box=[0.2, 0.5, 0.5, 0.4]))
    first.save()
    later = [fo.Sample(filepath=sample.filepath, asks=first["asks"].copy()) for sample in samples]
    dataset.add_samples(later[:3], progress=False)
    return dataset


def stored(dataset: fo.Dataset) -> Labels:
    """All labels, as the database has them."""
    found: Labels = {}
    for sample in dataset._sample_collection.find({}):
        for field, value in sample.items():
            if isinstance(value, dict) and value.get("_cls") == "Detections":
                labels = {str(label["_id"]): label for label in value["detections"] or ()}
                found.setdefault(field, {}).update(labels)
    return found


def losses(before: Labels, now: Labels, operation: Operation) -> list[str]:
    """In words, each label and decision of before that is not there now."""
    said = []
    for field, labels in before.items():
        if field in operation.removes:
            continue
        for label_id, label in labels.items():
            found = now.get(field, {}).get(label_id)
            if found is None:
                said.append(f"label {label_id} of {field} is gone")
                continue
            kept = ["_cls", "mask", "bounding_box", "prompt_id", "prompt_type"]
            if label.get("review"):
                kept += ["label", "review", "reviewed_by", "reviewed_at", "predicted_label"]
            elif label.get("label") and field not in ("ovsam", "again"):
                kept += ["label"]
            said += [
                f"{name} of {label_id} of {field} was {label.get(name)!r:.60}, is "
                f"{found.get(name)!r:.60}"
                for name in kept
                if found.get(name) != label.get(name)
            ]
    return said


def outcome(dataset: fo.Dataset) -> Any:
    """What an operation has left, told without ids that differ from call to call."""
    labels = {
        field: sorted(
            (
                str(sorted((k, str(v)) for k, v in label.items() if k not in _VOLATILE))
                for label in rows.values()
            ),
        )
        for field, rows in stored(dataset).items()
    }
    indexed = {key: _indexed(dataset, key) for key in dataset.list_brain_runs()}
    return labels, sorted(dataset.list_runs()), indexed


def _indexed(dataset: fo.Dataset, key: str) -> tuple[int, int]:
    """Embeddings in an index, and how many more are still waiting to be filed."""
    try:
        index = dataset.load_brain_results(key, cache=False)
    except AttributeError:
        index = None
    spool = EmbeddingSpool(dataset, key.removesuffix("_similarity"))
    return 0 if index is None else index.total_index_size, sum(map(len, spool))


def _finished(dataset: fo.Dataset, field: str) -> bool:
    from ovsam_plugin.dataset import runs

    return dataset.has_run(field) and runs.last_started(dataset, field) is not None


def in_a_process(
    call: Callable[[fo.Dataset], None], name: str, last: int | None = None, told: int | None = None
) -> int:
    """Starts the work in a child with everything loaded; returns the child's number.

    Args:
        call: the work.
        name: the dataset's.
        last: the command to the database that the child does not live to send.
        told: where it writes how many it has sent.
    """
    child = os.fork()
    if child:
        return child
    code = 1
    warnings.filterwarnings("ignore", message="MongoClient opened before fork")
    try:
        dataset = fo.load_dataset(name)
        dataset.reload()
        Commands.count, Commands.last = 0, last
        call(dataset)
        if told is not None:
            os.write(told, str(Commands.count).encode())
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def killed(
    operation: Operation, name: str, *, after: float | None = None, before: int | None = None
) -> bool:
    """Kills after some seconds, or before a command; whether the work was still going on."""
    child = in_a_process(operation.call, name, before)
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def undisturbed(operation: Operation, dataset: fo.Dataset) -> tuple[float, int]:
    """Seconds and commands that the work takes."""
    reading, writing = os.pipe()
    clock = time.monotonic()
    child = in_a_process(operation.call, dataset.name, told=writing)
    status = os.waitpid(child, 0)[1]
    os.close(writing)
    with os.fdopen(reading) as said:
        commands = said.read()
    if status:
        raise SystemExit(f"{operation.call.__name__} fails when nobody disturbs it")
    return time.monotonic() - clock, int(commands)


def run(key: str, master: fo.Dataset, rounds: int, moments: random.Random) -> list[str]:
    """Kills an operation so many times; says what was lost."""
    operation = OPERATIONS[key]
    whole = master.clone(persistent=True)
    took, commands = undisturbed(operation, whole)
    whole.reload()
    wanted = outcome(whole)
    whole.delete()
    said: list[str] = []
    at_work = 0
    for number in range(rounds):
        dataset = master.clone(persistent=True)
        before = stored(dataset)
        if number % 2:
            at_work += killed(operation, dataset.name, after=moments.uniform(0, took))
        else:
            at_work += killed(operation, dataset.name, before=moments.randint(1, commands))
        lost = losses(before, stored(dataset), operation)
        dataset.reload()
        if not operation.done(dataset):
            status = os.waitpid(in_a_process(operation.call, dataset.name), 0)[1]
            lost += [] if status == 0 else ["the same call fails"]
        dataset.reload()
        lost += losses(before, stored(dataset), operation)
        if outcome(dataset) != wanted:
            lost.append("the same call leaves something else than an undisturbed one")
        said += [f"round {number}: {what}" for what in lost]
        dataset.delete()
    print(
        f"{key}: {rounds} kills, {at_work} of them at work ({took:.2f} s, {commands} commands): "
        f"{len(said)} losses",
        flush=True,
    )
    return said


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("operations", nargs="*", choices=[*OPERATIONS, []], metavar="OPERATION")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    master = reviewed_dataset()
    # With all models and words in memory, a child begins its work at once.
    for key in given.operations or OPERATIONS:
        warm = master.clone()
        OPERATIONS[key].call(warm)
        warm.delete()
    moments = random.Random(given.seed)
    lost = [
        f"{key}: {what}"
        for key in given.operations or OPERATIONS
        for what in run(key, master, given.rounds, moments)
    ]
    master.delete()
    print("\n".join(lost))
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
