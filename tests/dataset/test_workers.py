"""Who works on a dataset, and what becomes of the work of those that died."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import fiftyone as fo
import psutil
import pytest

from ovsam_plugin import label_dataset, remove_run, stop_labeling
from ovsam_plugin.dataset import workers
from ovsam_plugin.dataset.model import OvsamModel
from ovsam_plugin.dataset.store import Store
from ovsam_plugin.dataset.workers import Worker
from ovsam_plugin.dataset.writing import FreshLabels, put_labels

from .conftest import SMALL

ROOT = Path(__file__).resolve().parents[2]
KILLED = """
import os, signal, sys
import fiftyone as fo
from ovsam_plugin.dataset.workers import Worker

dataset = fo.load_dataset(sys.argv[1])
worker = Worker(dataset, "ovsam")
worker.__enter__()
worker.begin()
worker.claim(["a", "b"])
worker.lease("work").__enter__()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_sample_is_one_workers_until_it_is_given_back(dataset: fo.Dataset) -> None:
    with Worker(dataset, "ovsam") as one, Worker(dataset, "ovsam") as two:
        assert (one.others(), two.others()) == (0, 0)
        one.begin()
        two.begin()
        assert one.claim(["a", "b"]) == ["a", "b"]
        assert two.claim(["b", "c"]) == ["c"]
        one.release(["b"])
        two.release(["a"])  # not its own
        assert two.claim(["a", "b"]) == ["b"]
        assert (one.others(), two.others()) == (1, 1)
        with Worker(dataset, "another") as third:
            assert third.claim(["a"]) == ["a"]
            assert third.others() == 0
    with Worker(dataset, "ovsam") as four:
        assert four.claim(["a", "b", "c"]) == ["a", "b", "c"]
        assert four.others() == 0


def test_many_threads_that_want_the_same_samples_get_each_once(dataset: fo.Dataset) -> None:
    wanted, got = [str(i) for i in range(40)], []
    start = threading.Barrier(4)

    def take() -> None:
        with Worker(dataset, "ovsam") as worker:
            start.wait()
            got.extend(worker.claim(wanted))
            start.wait()

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == sorted(wanted)


def test_what_a_killed_worker_held_is_taken_over_at_once(dataset: fo.Dataset) -> None:
    dataset.persistent = True
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", KILLED, dataset.name], cwd=ROOT, env=env)
    assert done.returncode == -signal.SIGKILL
    with Worker(dataset, "ovsam") as worker, worker.lease("work"):
        assert worker.others() == 0
        assert worker.claim(["a", "b"]) == ["a", "b"]


def test_a_clock_that_is_set_makes_no_living_worker_dead(
    dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Worker(dataset, "ovsam") as one, Worker(dataset, "ovsam") as other:
        one.begin()
        assert one.claim(["x"]) == ["x"]
        created = psutil.Process.create_time
        monkeypatch.setattr(psutil.Process, "create_time", lambda self: created(self) + 3600)
        assert other.others() == 1
        assert other.claim(["x"]) == []


def test_a_worker_of_another_machine_is_dead_once_it_stands_still(
    dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(dataset, "ovsam_workers")
    far = {"machine": "far away", "pid": 1, "started": 0.0, "field": "ovsam", "beat": 7}
    store.put("worker.far", far)
    store.put("sample.ovsam.a", "far")
    clock = [0.0]
    monkeypatch.setattr(workers.time, "monotonic", lambda: clock[0])
    with Worker(dataset, "ovsam") as worker:
        assert worker.claim(["a"]) == []
        clock[0] = 59.0
        assert worker.claim(["a"]) == []
        store.put("worker.far", {**far, "beat": 8})
        clock[0] = 100.0
        assert worker.claim(["a"]) == []
        clock[0] = 161.0
        assert worker.claim(["a"]) == ["a"]


def test_a_call_that_died_with_its_machine_does_not_keep_its_field_for_good(
    dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has watched it, as after a restart of the machine, or of a container."""
    monkeypatch.setattr(workers, "_SILENCE", 0.5)
    label_dataset(dataset, vocabulary="cat, cup", device="cpu", workers=0, progress=False)
    store = Store(dataset, "ovsam_workers")
    far = {"machine": "far away", "pid": 1, "started": 0.0, "field": "ovsam", "beat": 7}
    store.put("worker.far", far)
    lives = threading.Timer(0.3, lambda: store.put("worker.far", {**far, "beat": 8}))
    lives.start()
    with pytest.raises(ValueError, match="1 call is labelling field 'ovsam' now"):
        remove_run(dataset, "ovsam")
    remove_run(dataset, "ovsam")
    assert not dataset.has_run("ovsam")
    assert store.keys() == []


def test_what_another_took_over_meanwhile_is_written_by_that_one_alone(
    boxed: fo.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, decode = boxed.first().id, OvsamModel.decode
    store, claim = Store(boxed, "ovsam_workers"), f"sample.ovsam.{taken}"
    theirs = fo.Detection(label="theirs", bounding_box=[0, 0, 1, 1])

    def sleep(model: OvsamModel, *loaded: Any) -> Any:
        """As long as another needs to take a photograph over, and to label it."""
        if (holder := dict(store.items([claim])).get(claim)) is not None:
            store.swap(claim, holder, "another")
            put_labels(boxed, "ovsam", [FreshLabels(taken, fo.Detections(detections=[theirs]))])
        return decode(model, *loaded)

    monkeypatch.setattr(OvsamModel, "decode", sleep)
    label_dataset(boxed, **SMALL)
    boxed.reload()
    assert boxed[taken]["ovsam"].detections[0].label == "theirs"
    assert [len(labels) for labels in boxed.values("ovsam.detections.id")] == [1, 1, 1]


def test_one_worker_at_a_time_has_a_lease(dataset: fo.Dataset) -> None:
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        with Worker(dataset, "ovsam") as worker, worker.lease("work"):
            inside += 1
            most = max(most, inside)
            threading.Event().wait(0.05)
            inside -= 1

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_a_call_that_is_asked_to_stop_keeps_what_it_has_and_is_gone_on_with(
    dataset: fo.Dataset,
) -> None:
    settings = {"vocabulary": "cat, cup", "device": "cpu", "workers": 0, "batch_size": 1}
    # More than are loaded ahead of what is written.
    dataset.add_samples([fo.Sample(filepath=path) for path in dataset.values("filepath") * 4])
    total = len(dataset)
    asked: list[int] = []

    def stop(bar: Any) -> None:
        if bar.iteration == 1 and not asked:
            asked.append(stop_labeling(dataset))

    first = label_dataset(dataset, progress=stop, **settings)
    assert asked == [1]
    assert (first.left > 0, first.kept) == (True, 0)
    assert first.labelled == total - first.left == len(dataset.exists("ovsam"))
    assert stop_labeling(dataset) == 0

    def settled(bar: Any) -> None:
        assert bar.iteration <= first.left

    second = label_dataset(dataset, progress=settled, **settings)
    assert (second.labelled, second.left, second.kept) == (first.left, 0, first.labelled)
    index = dataset.load_brain_results("ovsam_similarity")
    assert index.total_index_size == dataset.count("ovsam.detections")


def test_only_calls_on_the_same_field_are_asked_to_stop(dataset: fo.Dataset) -> None:
    with Worker(dataset, "ovsam") as one, Worker(dataset, "another") as two:
        one.begin()
        two.begin()
        assert stop_labeling(dataset, "ovsam") == 1
        assert (one.should_stop(), two.should_stop()) == (True, False)
    with Worker(dataset, "ovsam") as three:
        three.begin()
        assert not three.should_stop()
