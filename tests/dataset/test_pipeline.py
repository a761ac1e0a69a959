"""What a labelling run survives: memory that runs out, files that hang, a database that is away."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pymongo.errors import AutoReconnect, BulkWriteError, OperationFailure

from ovsam_plugin import label_dataset, stages
from ovsam_plugin.dataset import (
    database,
    embedding_spool,
    labeling_job,
    loading,
    runs,
    writing,
)
from ovsam_plugin.dataset.database import patiently
from ovsam_plugin.dataset.loading import Loaded
from ovsam_plugin.dataset.model import OvsamModel
from ovsam_plugin.dataset.model_building import build_model
from ovsam_plugin.dataset.sample_prompts import Asked
from ovsam_plugin.prediction.predictor import Predictor
from ovsam_plugin.prediction.prompts import Box

QUICK: dict[str, Any] = {
    "vocabulary": "cat, cup, person, spoon",
    "device": "cpu",
    "workers": 0,
    "progress": False,
    "box_field": "asks",
}


@pytest.fixture
def asking(dataset: Any) -> Any:
    """The photographs, each with one box that asks."""
    import fiftyone as fo

    for sample in dataset.iter_samples(autosave=True):
        box = fo.Detection(label="thing", bounding_box=[0.2, 0.2, 0.5, 0.5])
        sample["asks"] = fo.Detections(detections=[box])
    return dataset


@pytest.fixture
def model() -> OvsamModel:
    return build_model(vocabulary="cat, cup, person, spoon", device="cpu")


def loaded(model: OvsamModel, paths: list[Path], boxes: int = 1) -> list[Loaded]:
    asked = Asked(prompts=tuple(Box((20.0 + i, 20, 150, 180)) for i in range(boxes)))
    frames = [
        model.labeler.predictor.preprocess(np.array(Image.open(path).convert("RGB")))
        for path in paths
    ]
    return [Loaded(str(i), frame, asked) for i, frame in enumerate(frames)]


def test_prompts_that_do_not_fit_are_asked_fewer_at_a_time(
    model: OvsamModel, images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Predictor._decode

    def tight(self: Predictor, encoding: Any, prompts: Any, *rest: Any) -> Any:
        if len(prompts) > 4:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to")
        return whole(self, encoding, prompts, *rest)

    monkeypatch.setattr(Predictor, "_decode", tight)
    (answer,) = model.answer(loaded(model, images[:1], boxes=9))
    assert answer.error is None
    assert len(answer.detections.detections) == 9
    assert model.labeler.chunk == 4


def test_a_file_that_hangs_costs_itself(
    asking: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fiftyone as fo

    read = loading.read_picture
    pipe = tmp_path / "never.png"
    os.mkfifo(pipe)

    def hanging(path: str, *rest: Any) -> Any:
        if path == str(pipe):
            pipe.read_bytes()  # of a pipe that nobody writes to
        return read(path, *rest)

    monkeypatch.setattr(loading, "read_picture", hanging)
    monkeypatch.setattr(
        loading.SampleLoader.__init__,
        "__kwdefaults__",
        {
            **loading.SampleLoader.__init__.__kwdefaults__,
            "patience": 3.0,
        },
    )
    box = fo.Detection(label="thing", bounding_box=[0.2, 0.2, 0.5, 0.5])
    asking.add_sample(fo.Sample(filepath=str(pipe), asks=fo.Detections(detections=[box])))
    summary = label_dataset(asking, **QUICK)
    assert (summary.labelled, summary.failed, summary.instances) == (4, 1, 3)
    assert "not done after 3 seconds" in summary.reasons[0]


def test_a_database_that_is_away_for_a_moment_costs_nothing(
    asking: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, away = labeling_job.put_labels, [True, True]

    def absent(*args: Any, **kwargs: Any) -> Any:
        if away:
            away.pop()
            raise AutoReconnect("connection refused")
        return put(*args, **kwargs)

    monkeypatch.setattr(labeling_job, "put_labels", absent)
    monkeypatch.setattr(database, "_BETWEEN", 0.05)
    summary = label_dataset(asking, **QUICK)
    assert (summary.labelled, summary.failed, away) == (3, 0, [])
    with pytest.raises(AutoReconnect):
        patiently(lambda: (_ for _ in ()).throw(AutoReconnect("gone")), most=0.1)


@pytest.mark.parametrize("what", ["labels", "embeddings"])
def test_a_full_disk_ends_a_call_that_is_gone_on_with(
    what: str, asking: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second photograph's write is refused, as MongoDB refuses it."""
    calls = 0

    def full(work: Any, error: Exception) -> Any:
        def write(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == 2:
                raise error
            return work(*args, **kwargs)

        return write

    with monkeypatch.context() as patch:
        if what == "labels":
            told = {"writeErrors": [{"index": 0, "code": 14031, "errmsg": "no room"}]}
            collection = writing.sample_documents(asking)
            write = full(collection.bulk_write, BulkWriteError(told))
            patch.setattr(collection, "bulk_write", write, raising=False)
            patch.setattr(writing, "sample_documents", lambda dataset: collection)
        else:
            error = OperationFailure("no room", 14031)
            write = full(embedding_spool.EmbeddingSpool.put, error)
            patch.setattr(embedding_spool.EmbeddingSpool, "put", write)
        with pytest.raises(OSError, match="the disk of FiftyOne's database is full.*again"):
            label_dataset(asking, batch_size=1, **QUICK)
    assert len(asking.exists("ovsam")) == 1
    summary = label_dataset(asking, batch_size=1, **QUICK)
    assert (summary.labelled, summary.failed) == (2, 0)
    assert asking.count("ovsam.detections") == 3


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_precision_is_recorded_and_another_one_goes_on(asking: Any, precision: str) -> None:
    label_dataset(asking[:1], precision=precision, **QUICK)
    assert runs.recorded_settings(asking, "ovsam")["precision"] == precision
    label_dataset(asking, precision="fp32", **QUICK)
    assert [s["precision"] for s in runs.sessions(asking, "ovsam")] == [precision, "fp32"]
    with pytest.raises(ValueError, match="auto, fp32, bf16, fp16"):
        label_dataset(asking, precision="fp8", **QUICK)


@pytest.fixture
def threads_as_before() -> Iterator[None]:
    usual = torch.get_num_threads()
    yield
    torch.set_num_threads(usual)


@pytest.mark.usefixtures("threads_as_before")
def test_photographs_side_by_side_get_what_they_get_one_by_one(
    asking: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[int] = set()
    whole = OvsamModel.encode

    def told(self: OvsamModel, batch: Any) -> Any:
        threads.add(threading.get_ident())
        time.sleep(0.05)
        return whole(self, batch)

    monkeypatch.setattr(OvsamModel, "encode", told)
    asking.add_samples([s.copy() for s in asking for _ in range(3)], progress=False)
    torch.set_num_threads(1)
    label_dataset(asking, label_field="one_by_one", **QUICK)
    assert len(threads) == 1
    threads.clear()
    torch.set_num_threads(3)
    label_dataset(asking, label_field="abreast", **QUICK)
    assert len(threads) == 3
    for sample in asking:
        (one,), (other,) = sample.one_by_one.detections, sample.abreast.detections
        assert (one.label, one.bounding_box) == (other.label, other.bounding_box)
        assert one.confidence == pytest.approx(other.confidence, abs=1e-4)
        assert (one.mask == other.mask).mean() > 0.999


def in_main_thread(work: Callable[[], Any]) -> Any:
    return work()


def on_a_thread(work: Callable[[], Any]) -> Any:
    """As in the App's server, where torch is not told of processes that end."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


@pytest.mark.parametrize("call", [in_main_thread, on_a_thread])
@pytest.mark.parametrize("times", [1, 9])
def test_a_process_that_loads_and_dies_is_followed_by_another_within_bounds(
    asking: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    times: int,
    call: Callable[[Callable[[], Any]], Any],
) -> None:
    read = loading.read_picture

    def dying(path: str, *rest: Any) -> Any:
        if path == last and len(list(tmp_path.glob("died*"))) < times:
            (tmp_path / f"died{os.getpid()}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return read(path, *rest)

    last = asking.last().filepath
    monkeypatch.setattr(stages, "_SOURCE_PATIENCE", 0.5)
    monkeypatch.setattr(labeling_job, "_DEATHS", 1)
    monkeypatch.setattr(loading, "read_picture", dying)
    settings = {**QUICK, "workers": 1}
    if times == 1:
        assert call(lambda: label_dataset(asking, **settings)).instances == len(asking)
    else:
        with pytest.raises(RuntimeError, match="died 2 times.*workers=1"):
            call(lambda: label_dataset(asking, **settings))
        monkeypatch.setattr(loading, "read_picture", read)
        call(lambda: label_dataset(asking, **settings))
    labels = asking.values("ovsam.detections")
    assert [len(found) for found in labels] == [1] * len(asking)
