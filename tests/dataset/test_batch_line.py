"""Batches of a call: how large they are; photographs side by side cost each other nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import fiftyone as fo
import pytest
import torch

from ovsam_plugin import label_dataset, stop_labeling
from ovsam_plugin.dataset import answer_writer, batch_line
from ovsam_plugin.dataset.model import Answer, OvsamModel
from ovsam_plugin.dataset.workers import Worker

from .conftest import SMALL

NOTHING = Answer(fo.Detections())


@pytest.fixture
def threads_as_before() -> Iterator[None]:
    usual = torch.get_num_threads()
    yield
    torch.set_num_threads(usual)


@pytest.mark.usefixtures("threads_as_before")
@pytest.mark.parametrize("batch_size", [1, 12])
def test_photographs_side_by_side_get_what_they_get_one_by_one(
    batch_size: int, boxed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[int] = set()
    whole = OvsamModel.encode

    def told(self: OvsamModel, batch: Any) -> Any:
        threads.add(threading.get_ident())
        time.sleep(0.05)
        return whole(self, batch)

    monkeypatch.setattr(OvsamModel, "encode", told)
    boxed.add_samples([s.copy() for s in boxed for _ in range(3)], progress=False)
    torch.set_num_threads(1)
    label_dataset(boxed, label_field="one_by_one", batch_size=batch_size, **SMALL)
    assert len(threads) == 1
    threads.clear()
    torch.set_num_threads(3)
    label_dataset(boxed, label_field="abreast", batch_size=batch_size, **SMALL)
    assert len(threads) == 3
    for sample in boxed:
        (one,), (other,) = sample.one_by_one.detections, sample.abreast.detections
        assert (one.label, one.bounding_box) == (other.label, other.bounding_box)
        assert one.confidence == pytest.approx(other.confidence, abs=1e-4)
        assert (one.mask == other.mask).mean() > 0.999


@pytest.mark.parametrize(
    ("batch_size", "slow", "most"),
    [(None, 0.0, range(2, 9)), (None, 1.1, range(1, 2)), (3, 1.1, range(3, 4))],
)
def test_a_cpu_is_given_what_it_labels_in_a_second_and_computes_one_by_one(
    batch_size: int | None,
    slow: float,
    most: range,
    boxed: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoded, written = [], []
    write = answer_writer.AnswerWriter.write

    def encode(self: OvsamModel, batch: Any) -> list[None]:
        encoded.append(len(batch))
        time.sleep(slow)
        return [None]

    def writes(self: Any, items: Any, *rest: Any, **kwargs: Any) -> None:
        written.append(len(items))
        write(self, items, *rest, **kwargs)

    monkeypatch.setattr(OvsamModel, "encode", encode)
    monkeypatch.setattr(OvsamModel, "decode", lambda self, batch, found: [NOTHING])
    monkeypatch.setattr(answer_writer.AnswerWriter, "write", writes)
    if not slow:
        boxed.add_samples([boxed.first().copy() for _ in range(60)], progress=False)
    label_dataset(boxed, batch_size=batch_size, **SMALL)
    assert set(encoded) == {1}
    assert max(written) in most
    assert sum(written) == len(boxed)


def test_of_photographs_that_take_longer_than_those_before_soon_fewer_are_taken(
    boxed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, encoded, written = 0.0, 0, []
    write = answer_writer.AnswerWriter.write

    def encode(self: OvsamModel, batch: Any) -> list[None]:
        nonlocal now, encoded
        encoded += 1
        now += 0.5 if encoded > 120 else 0.1
        return [None]

    def writes(self: Any, items: Any, *rest: Any, **kwargs: Any) -> None:
        written.append(len(items))
        write(self, items, *rest, **kwargs)

    clock = SimpleNamespace(monotonic=lambda: now, sleep=time.sleep)
    monkeypatch.setattr(batch_line, "time", clock)
    monkeypatch.setattr(OvsamModel, "encode", encode)
    monkeypatch.setattr(OvsamModel, "decode", lambda self, batch, found: [NOTHING])
    monkeypatch.setattr(answer_writer.AnswerWriter, "write", writes)
    boxed.add_samples([boxed.first().copy() for _ in range(157)], progress=False)
    label_dataset(boxed, **SMALL)
    assert max(written) == 8
    assert max(written[-4:]) <= 2


@pytest.mark.parametrize("workers", [0, 1])
def test_a_stop_does_not_wait_for_what_is_claimed_and_loaded(
    workers: int, boxed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded, whole = 0, OvsamModel.encode

    def slow(self: OvsamModel, batch: Any) -> Any:
        nonlocal encoded
        encoded += 1
        if encoded == 2:
            assert stop_labeling(boxed) == 1
        time.sleep(0.1)
        return whole(self, batch)

    boxed.add_samples([s.copy() for s in boxed for _ in range(7)], progress=False)
    with monkeypatch.context() as patch:
        patch.setattr(OvsamModel, "encode", slow)
        summary = label_dataset(boxed, batch_size=8, **{**SMALL, "workers": workers})
    assert 0 < summary.labelled == encoded < 12
    assert summary.left == 24 - summary.labelled
    assert len(boxed.exists("ovsam")) == boxed.count("ovsam.detections") == summary.labelled
    with Worker(boxed, "ovsam") as another:
        assert len(another.claim(boxed.values("id"))) == 24
        another.release(boxed.values("id"))
    assert label_dataset(boxed, **SMALL).labelled == summary.left
