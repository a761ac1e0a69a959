"""Relabellings that are stopped, or while which something else happens to the labels."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import fiftyone as fo
import pytest

from ovsam_plugin.consent import ConsentError
from ovsam_plugin.curation import relabeling
from ovsam_plugin.curation.decisions import accept, rename, reopen
from ovsam_plugin.curation.relabeling import relabel_dataset
from ovsam_plugin.dataset import runs, writing

from .test_relabeling import OTHER, values


@pytest.mark.parametrize("gone", [0, 1])
def test_a_label_deleted_meanwhile_gives_no_other_its_name(
    named: fo.Dataset, gone: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    relabel_dataset(named, vocabulary=OTHER, label_field="right", device="cpu")
    wanted = dict(zip(values(named, "right", "id"), values(named, "right", "confidence")))
    label = values(named, "ovsam", "id")[gone]
    meanwhile(monkeypatch, lambda: named.delete_labels(ids=[label], fields=["ovsam"]))
    relabel_dataset(named, vocabulary=OTHER, label_field="raced", device="cpu")
    raced = dict(zip(values(named, "raced", "id"), values(named, "raced", "confidence")))
    assert raced == {i: c for i, c in wanted.items() if i != label}


def meanwhile(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Something that happens once, while the words of the new vocabulary are read."""
    build = relabeling.build_recognizer

    def late(*args: Any) -> Any:
        monkeypatch.setattr(relabeling, "build_recognizer", build)
        happens()
        return build(*args)

    monkeypatch.setattr(relabeling, "build_recognizer", late)


@pytest.mark.parametrize("into", ["again", "fresh"])
@pytest.mark.parametrize("field", ["again", "ovsam"])
def test_what_is_decided_while_names_are_made_stays(
    named: fo.Dataset, into: str, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if (into, field) == ("fresh", "again"):
        relabel_dataset(named, vocabulary=OTHER, label_field="again", device="cpu")
        source = "again"
    else:
        source = "ovsam"
        relabel_dataset(named, vocabulary=OTHER, label_field="again", device="cpu")
    label = str(values(named, "ovsam", "id")[4])
    meanwhile(monkeypatch, lambda: rename(named, field, label, "tiger", by="ada"))
    settings = {"vocabulary": ["a", "b"], "device": "cpu", "overwrite": into == "again"}
    relabel_dataset(named, pred_field=source, label_field=into, **settings)
    assert values(named, into, "label")[4] == "tiger"
    assert values(named, into, "reviewed_by")[4] == "ada"
    assert set(values(named, into, "label")) <= {"a", "b", "tiger"}


def test_of_two_calls_that_fill_one_field_the_second_sees_what_the_first_made(
    named: fo.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[str] = []

    def second() -> None:
        try:
            relabel_dataset(named, vocabulary=["a", "b"], label_field="again", device="cpu")
        except ConsentError as error:
            refused.append(str(error))

    other = threading.Thread(target=second)
    register = runs.register

    def start_other(*asked: Any) -> None:
        if not other.is_alive():
            other.start()
            other.join(1.0)  # it waits, and longer than that
            assert other.is_alive()
        register(*asked)

    monkeypatch.setattr(relabeling.runs, "register", start_other)
    relabel_dataset(named, vocabulary=OTHER, label_field="again", device="cpu")
    other.join()
    assert len(refused) == 1
    assert set(values(named, "again", "label")) <= set(OTHER.split(", "))
    assert runs.recorded_vocabulary(named, "again").names == tuple(OTHER.split(", "))


def test_a_decision_taken_back_while_names_are_made_leaves_the_new_name(
    named: fo.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    relabel_dataset(named, vocabulary=OTHER, label_field="again", device="cpu")
    label = str(values(named, "again", "id")[2])
    accept(named, "again", label, by="ada")
    meanwhile(monkeypatch, lambda: reopen(named, "again", label))
    relabel_dataset(named, vocabulary=["a", "b"], label_field="again", device="cpu", overwrite=True)
    assert set(values(named, "again", "label")) <= {"a", "b"}


@pytest.mark.parametrize("where", ["build_recognizer", "declare", "runs.register", "copy_labels"])
def test_a_relabelling_that_was_stopped_loses_nothing_and_is_finished_by_the_same_call(
    named: fo.Dataset, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    relabel_dataset(named, vocabulary=OTHER, label_field="again", device="cpu")
    ids = [str(i) for i in values(named, "again", "id")]
    rename(named, "again", ids[::2], "tiger", by="ada")
    before = values(named, "again", "label")

    def stop(*args: object, **settings: object) -> None:
        raise KeyboardInterrupt

    same: dict[str, Any] = {"vocabulary": ["a", "b"], "label_field": "again", "device": "cpu"}
    owner, _, name = f"relabeling.{where}".rpartition(".")
    holder = {"relabeling": relabeling, "relabeling.runs": runs}[owner]
    holder = writing if name == "copy_labels" else holder
    with monkeypatch.context() as patch:
        patch.setattr(holder, name, stop)
        with pytest.raises(KeyboardInterrupt):
            relabel_dataset(named, overwrite=True, **same)
    assert values(named, "again", "label") == before
    assert relabel_dataset(named, overwrite=True, **same).decided == 5
    assert values(named, "again", "label")[::2] == ["tiger"] * 5
    assert set(values(named, "again", "label")[1::2]) <= {"a", "b"}


def test_a_first_relabelling_that_was_stopped_needs_no_consent_to_be_finished(
    named: fo.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    same: dict[str, Any] = {"vocabulary": ["a", "b"], "label_field": "again", "device": "cpu"}
    write = writing._apply

    def half(dataset: fo.Dataset, fields: Any, updates: Any, **settings: Any) -> Any:
        write(dataset, fields, [next(iter(updates))], **settings)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(writing, "_apply", half)
        with pytest.raises(KeyboardInterrupt):
            relabel_dataset(named, **same)
    assert len(named.exists("again")) == 1
    with pytest.raises(ValueError, match="already exists, with names of"):
        relabel_dataset(named, **{**same, "vocabulary": ["c", "d"]})
    assert relabel_dataset(named, **same).instances == 9
    assert len(values(named, "again", "id")) == 9
    with pytest.raises(ValueError, match="already exists, with names of"):
        relabel_dataset(named, **same)


def test_a_relabelling_killed_while_its_record_was_written_is_finished_by_the_same_call(
    named: fo.Dataset,
) -> None:
    same: dict[str, Any] = {"vocabulary": ["a", "b"], "label_field": "again", "device": "cpu"}
    relabel_dataset(named, **same)
    named._doc.get_runs()["again"].results.delete()
    runs._sessions(named, "again").clear()
    named.clear_cache()
    assert runs.last_started(named, "again") is None
    assert relabel_dataset(named, **same).instances == 9
    assert runs.last_started(named, "again") is not None
