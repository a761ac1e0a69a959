"""What a labelling run survives: memory that runs out, files that hang, a database that is away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone as fo
import pytest
from bson import ObjectId
from pymongo.errors import AutoReconnect, BulkWriteError, OperationFailure

from ovsam_plugin import label_dataset
from ovsam_plugin.dataset import (
    answer_writer,
    batch_line,
    database,
    embedding_index,
    embedding_spool,
    labeling_job,
    runs,
    writing,
)
from ovsam_plugin.dataset.database import patiently
from ovsam_plugin.dataset.loading import SampleTable
from ovsam_plugin.dataset.model import OvsamModel
from ovsam_plugin.dataset.model_building import build_model
from ovsam_plugin.dataset.store import Store
from ovsam_plugin.dataset.workers import Worker
from ovsam_plugin.prediction.predictor import Predictor

from .conftest import SMALL, loaded


@pytest.fixture
def model() -> OvsamModel:
    return build_model(vocabulary="cat, cup, person, spoon", device="cpu")


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


@pytest.mark.parametrize(
    ("where", "name"),
    [
        (answer_writer, "put_labels"),
        (labeling_job, "unfinished"),
        (labeling_job, "prompts_of"),
        (labeling_job, "unanswered"),
        (Worker, "claim"),
        (Worker, "release"),
        (Worker, "should_stop"),
        (Worker, "_take"),
        (batch_line, "SampleTable"),
        (labeling_job, "check_declared"),
        (embedding_index, "_refresh"),
        (embedding_index, "_rewrite"),
        (embedding_spool.EmbeddingSpool, "forget"),
        (Store, "drop"),
    ],
)
def test_a_database_that_is_away_for_a_moment_costs_nothing(
    boxed: Any, monkeypatch: pytest.MonkeyPatch, where: Any, name: str
) -> None:
    work, away = getattr(where, name), [True, True]

    def absent(*args: Any, **kwargs: Any) -> Any:
        if away:
            away.pop()
            raise AutoReconnect("connection refused")
        return work(*args, **kwargs)

    monkeypatch.setattr(where, name, absent)
    monkeypatch.setattr(database, "_BETWEEN", 0.05)
    summary = label_dataset(boxed, **SMALL)
    assert (summary.labelled, summary.failed, away) == (3, 0, [])
    with pytest.raises(AutoReconnect):
        patiently(lambda: (_ for _ in ()).throw(AutoReconnect("gone")), most=0.1)


def test_what_another_call_fails_at_meanwhile_is_not_tried_again(
    boxed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three photographs that cannot be read, the first had failed before this call began."""
    boxed.set_values("filepath", [str(Path(path) / "none") for path in boxed.values("filepath")])
    label_dataset(boxed.limit(1), **SMALL)
    first, second, third = boxed.values("id")
    claim, decode, tried = Worker.claim, OvsamModel.decode, []

    def once_another_has_failed(self: Worker, ids: Any) -> list[str]:
        if second in ids:
            failed = {"$set": {"ovsam_error": "another has tried"}}
            boxed._sample_collection.update_one({"_id": ObjectId(second)}, failed)
        return claim(self, ids)

    def watched(self: OvsamModel, items: Any, encodings: Any) -> Any:
        tried.extend(item.id for item in items)
        return decode(self, items, encodings)

    monkeypatch.setattr(OvsamModel, "decode", watched)
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(Worker, "claim", once_another_has_failed)
        assert label_dataset(boxed, **{**SMALL, "batch_size": 1}).failed == 2
    assert tried == [first, third]
    tried.clear()
    label_dataset(boxed, **SMALL)
    assert tried == [first, second, third]


def test_new_prompts_are_answered_in_parts_whose_ids_a_query_holds(
    boxed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    label_dataset(boxed, **SMALL)
    for sample in boxed.iter_samples(autosave=True):
        box = fo.Detection(label="late", bounding_box=[0.3, 0.3, 0.4, 0.4])
        sample["asks"].detections.append(box)
    ask, parts = labeling_job.asking, []

    def asking(samples: Any, fields: Any, prompts: Any) -> Any:
        parts.append(sum(map(len, prompts.values())))
        return ask(samples, fields, prompts)

    monkeypatch.setattr(labeling_job, "asking", asking)
    monkeypatch.setattr(labeling_job, "_LABELS_A_PASS", 2)
    assert label_dataset(boxed, **SMALL).instances == 3
    assert parts == [2, 1]


@pytest.mark.parametrize("what", ["labels", "embeddings"])
def test_a_full_disk_ends_a_call_that_is_gone_on_with(
    what: str, boxed: Any, monkeypatch: pytest.MonkeyPatch
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
            collection = writing.sample_documents(boxed)
            write = full(collection.bulk_write, BulkWriteError(told))
            patch.setattr(collection, "bulk_write", write, raising=False)
            patch.setattr(writing, "sample_documents", lambda dataset: collection)
        else:
            error = OperationFailure("no room", 14031)
            write = full(embedding_spool.EmbeddingSpool.put, error)
            patch.setattr(embedding_spool.EmbeddingSpool, "put", write)
        with pytest.raises(OSError, match="the disk of FiftyOne's database is full.*again"):
            label_dataset(boxed, batch_size=1, **SMALL)
    assert len(boxed.exists("ovsam")) == 1
    summary = label_dataset(boxed, batch_size=1, **SMALL)
    assert (summary.labelled, summary.failed) == (2, 0)
    assert boxed.count("ovsam.detections") == 3


def test_a_field_that_is_deleted_meanwhile_ends_the_call_and_leaves_nothing(
    boxed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FiftyOne takes a field from the samples first, and forgets it after a write of ours."""
    put, check, calls = answer_writer.put_labels, writing.check_declared, 0

    def late(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            monkeypatch.setattr(writing, "check_declared", lambda *args: None)
            boxed.delete_sample_fields(["ovsam", "ovsam_error"])
        if calls == 3:
            monkeypatch.setattr(writing, "check_declared", check)
        return put(*args, **kwargs)

    monkeypatch.setattr(answer_writer, "put_labels", late)
    with pytest.raises(ValueError, match="field 'ovsam'.*has been deleted or renamed meanwhile"):
        label_dataset(boxed, batch_size=1, **SMALL)
    found = list(boxed._sample_collection.find({}))
    assert not any("ovsam" in document or "ovsam_error" in document for document in found)
    monkeypatch.undo()
    assert label_dataset(boxed, **SMALL).labelled == 3


def test_prompts_of_another_type_meanwhile_end_the_call_with_a_reason(
    boxed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = answer_writer.put_labels

    def late(*args: Any, **kwargs: Any) -> Any:
        if boxed.has_sample_field("asks"):
            boxed.delete_sample_field("asks")
            boxed.add_sample_field("asks", fo.StringField)
        return put(*args, **kwargs)

    monkeypatch.setattr(answer_writer, "put_labels", late)
    with pytest.raises(ValueError, match="field 'asks', which asks, has been made a StringField"):
        label_dataset(boxed, batch_size=1, **SMALL)


def test_a_sample_that_is_deleted_before_it_is_loaded_costs_no_other(
    boxed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, gone, last = boxed.values("id")
    read = SampleTable._read

    def late(self: SampleTable, places: Any) -> Any:
        boxed.delete_samples([gone])
        return read(self, places)

    monkeypatch.setattr(SampleTable, "_read", late)
    summary = label_dataset(boxed, batch_size=3, **SMALL)
    assert (summary.labelled, summary.failed) == (2, 0)
    assert boxed.values("id") == [kept, last]
    assert boxed.values("ovsam_error") == [None, None]
    assert [len(d) for d in boxed.values("ovsam.detections")] == [1, 1]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_sample_that_fiftyone_cannot_read_costs_no_other(boxed: Any, workers: int) -> None:
    sample = {"_id": ObjectId(boxed.first().id)}
    damaged = {"asks.detections.0.mask": b"no array"}
    boxed._sample_collection.update_one(sample, {"$set": damaged})
    summary = label_dataset(boxed, batch_size=3, **{**SMALL, "workers": workers})
    assert (summary.labelled, summary.failed, summary.instances) == (3, 1, 2)
    assert "FiftyOne cannot read this sample: Error -3" in summary.reasons[0]
    boxed._sample_collection.update_one(sample, {"$unset": damaged})
    summary = label_dataset(boxed, **SMALL)
    assert (summary.labelled, summary.failed, summary.instances) == (1, 0, 1)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_precision_is_recorded_and_another_one_goes_on(boxed: Any, precision: str) -> None:
    label_dataset(boxed[:1], precision=precision, **SMALL)
    assert runs.recorded_settings(boxed, "ovsam")["precision"] == precision
    label_dataset(boxed, precision="fp32", **SMALL)
    assert [s["precision"] for s in runs.sessions(boxed, "ovsam")] == [precision, "fp32"]
    with pytest.raises(ValueError, match="auto, fp32, bf16, fp16"):
        label_dataset(boxed, precision="fp8", **SMALL)
