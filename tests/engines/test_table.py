"""The same labels wherever the work runs, also where a worker is killed in the middle of it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fiftyone as fo
import pytest

from ovsam_plugin import label_dataset
from ovsam_plugin.dataset import embedding_index
from ovsam_plugin.dataset.label_tally import LabelTally
from ovsam_plugin.dataset.share import Share
from ovsam_plugin.dataset.store import Store
from ovsam_plugin.dataset.unanswered_prompts import unfinished
from ovsam_plugin.dataset.workers import Worker
from ovsam_plugin.engines import table
from ovsam_plugin.engines.cluster import RayEngine, tasks_of
from ovsam_plugin.engines.devices import DeviceEngine, devices_named
from ovsam_plugin.engines.engine import LabelingEngine

SETTINGS: dict[str, Any] = {
    "vocabulary": "cat, cup, person, spoon",
    "box_field": "asks",
    "device": "cpu",
    "precision": "fp32",
    "workers": 0,
    "progress": False,
}
COUNT = 12


@pytest.fixture
def asking(photographs: dict[str, Path]) -> Iterator[Any]:
    """Photographs with two boxes each that ask."""
    dataset = fo.Dataset(persistent=True)
    boxes = ([0.1, 0.1, 0.6, 0.8], [0.3, 0.2, 0.5, 0.5])
    paths = [str(path) for path in photographs.values()] * (COUNT // len(photographs))
    asks = [
        fo.Detections(detections=[fo.Detection(label="x", bounding_box=box) for box in boxes])
        for _ in paths
    ]
    dataset.add_samples(
        [fo.Sample(filepath=p, asks=a) for p, a in zip(paths, asks)], progress=False
    )
    yield dataset
    dataset.delete()


def outcome(dataset: Any) -> list[list[str]]:
    """By photograph, what was found."""
    rows = dataset._sample_collection.find().sort("_id")
    return [
        sorted(
            f"{label['label']} {label['confidence']:.3f} {label['bounding_box']}"
            for label in (row.get("ovsam") or {}).get("detections") or ()
        )
        for row in rows
    ]


def check(dataset: Any, summary: Any) -> None:
    """Every photograph has its labels, each one embedding, as one process gives them."""
    dataset.reload()
    found = outcome(dataset)
    assert found == found[:3] * (COUNT // 3)
    assert [len(labels) for labels in found[:3]] == [2, 2, 2]
    ids = Counter(dataset.values("ovsam.detections.id", unwind=True))
    kept = Counter(embedding_index.load(dataset, "ovsam").label_ids.tolist())
    assert ids == kept
    assert set(kept.values()) == {1}
    assert summary.failed == 0
    with Worker(dataset, "ovsam") as worker:
        assert worker.others() == 0  # a killed one's name stays, and is known to be dead
    again = label_dataset(dataset, **SETTINGS)
    assert (again.labelled, again.kept) == (0, COUNT)


def workers(dataset: Any) -> list[int]:
    """Processes that say that they label it."""
    store = Store(dataset, "ovsam_workers")
    keys = [key for key in store.keys() if key.startswith("worker.")]  # noqa: SIM118
    return [value["pid"] for _, value in store.items(keys) if value["field"]]


def kill_one(dataset: Any, killed: list[int]) -> None:
    """Ends a worker that is not this process, once labels are coming."""
    end = time.monotonic() + 240
    labelled = {"ovsam.detections.0": {"$exists": True}}
    while time.monotonic() < end and not killed:
        others = [pid for pid in workers(dataset) if pid != os.getpid()]
        if others and dataset._sample_collection.count_documents(labelled):
            os.kill(others[0], signal.SIGKILL)
            killed.append(others[0])
        time.sleep(0.02)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A local Ray cluster for two workers."""
    # Where cores are few and busy, its parts take longer to find each other than it waits.
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "240")
    os.environ.setdefault("RAY_worker_niceness", "0")  # 15 else, which others would starve
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.mark.usefixtures("cluster")
def test_two_workers_of_a_ray_cluster_one_of_them_killed_label_what_one_process_does(
    asking: Any,
) -> None:
    killed: list[int] = []
    thread = threading.Thread(target=kill_one, args=(asking, killed))
    thread.start()
    summary = label_dataset(asking, engine="ray", **SETTINGS)
    thread.join()
    assert killed
    check(asking, summary)


@pytest.mark.usefixtures("cluster")
def test_what_a_worker_cannot_do_at_all_is_told(asking: Any, tmp_path: Path) -> None:
    share = Share(
        dataset="no such dataset",
        view=(),
        field="ovsam",
        model={},
        prompt_fields={},
        embeddings=True,
        batch_size=1,
        workers=0,
        since=None,
    )
    ids = asking.values("id")
    engines: dict[str, LabelingEngine] = {
        "no such dataset": RayEngine(), "every process": DeviceEngine(["cpu"]),
    }  # fmt: skip
    for told, engine in engines.items():
        with engine.started(len(ids)), pytest.raises(RuntimeError, match=told):
            engine.run(share, ids, lambda _: None)


def test_a_process_for_each_device_and_what_a_killed_one_had_is_done_by_this(asking: Any) -> None:
    killed: list[int] = []
    thread = threading.Thread(target=kill_one, args=(asking, killed))
    thread.start()
    view = asking.match(fo.ViewField("filepath").ends_with(".png"))
    summary = label_dataset(view, devices="cpu,cpu", **SETTINGS)
    thread.join()
    assert killed
    check(asking, summary)


def test_what_a_process_that_died_at_the_start_had_is_done_by_the_other(asking: Any) -> None:
    class Engine(DeviceEngine):
        def run(self, share: Share, ids: Any, count: Any) -> LabelTally:
            self._processes[0].kill()
            tally = super().run(share, ids, count)
            assert unfinished(asking, "ovsam", ids) == []
            assert tally.labelled == COUNT
            return tally

    row = (lambda **_: Engine(["cpu", "cpu"]), ())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table, "_ENGINES", {"local": row})
        summary = label_dataset(asking, **SETTINGS)
    check(asking, summary)


@pytest.mark.parametrize("engine", [{"devices": "cpu,cpu"}, {"engine": "ray"}])
@pytest.mark.usefixtures("cluster")
def test_a_photograph_that_cannot_be_read_is_tried_and_counted_once(
    asking: Any, engine: dict[str, str], tmp_path: Path
) -> None:
    bad = asking.limit(3)
    (tmp_path / "bad.png").write_bytes(b"no photograph")
    bad.set_values("filepath", [str(tmp_path / "bad.png")] * 3)
    summary = label_dataset(asking, **engine, **SETTINGS)
    assert (summary.labelled, summary.failed, len(summary.reasons)) == (COUNT, 3, 3)
    again = label_dataset(asking, **SETTINGS)
    assert (again.labelled, again.failed, again.kept) == (3, 3, COUNT - 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"engine": "spark"}, "'local' or 'ray'"),
        ({"address": "auto"}, "for engine 'ray'"),
        ({"engine": "ray", "devices": "all"}, "for engine 'local'"),
        ({"engine": "ray", "worker_gpus": -1}, "got -1"),
        ({"devices": ""}, "names none"),
        ({"devices": "cuda:99"}, "cannot be used"),
    ],
)
def test_engines_are_asked_for_in_ways_that_work(
    asking: Any, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        label_dataset(asking, **{**SETTINGS, **settings})
    assert asking.get_field("ovsam") is None


def test_engines_may_have_settings_of_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, Any]] = []
    row = (lambda **settings: made.append(settings), ("address",))
    monkeypatch.setattr(table, "_ENGINES", {**table._ENGINES, "another": row})
    table.labeling_engine("another", address="host", worker_gpus=None)
    assert made == [{"address": "host"}]
    with pytest.raises(ValueError, match="worker_gpus is for engine 'ray', not 'another'"):
        table.labeling_engine("another", worker_gpus=1)


def test_devices_are_named_by_one_word_or_many() -> None:
    assert devices_named("cpu, cpu") == ["cpu", "cpu"]
    assert devices_named(["cpu"]) == ["cpu"]
    assert len(devices_named("all")) >= 1


def test_tasks_become_smaller_and_leave_nothing_out() -> None:
    ids = [str(i) for i in range(10_000)]
    parts = list(tasks_of(ids, 2, 3, 512))
    sizes = [len(part) for part in parts]
    assert [i for part in parts for i in part] == ids
    assert sizes == sorted(sizes, reverse=True)
    assert (sizes[0], sizes[-2]) == (512, 3)
    assert list(tasks_of(ids[:2], 0, 8, 512)) == [ids[:2]]
    assert len(next(tasks_of(ids, 2, 48, 32))) == 48
    assert list(tasks_of([], 2, 1, 512)) == []
