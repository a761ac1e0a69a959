"""Decisions of a person on labels, in a real database."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import fiftyone as fo
import numpy as np
import pytest
from bson import ObjectId
from pymongo.collection import Collection

from ovsam_plugin.curation import decided_labels, decisions
from ovsam_plugin.curation.decisions import (
    Progress,
    accept,
    progress,
    rename,
    rename_each,
    reopen,
    reviewer,
    undo,
)
from ovsam_plugin.curation.decisions import reject as reject_labels

FIELD = "ovsam"
KEPT = ("label", "review", "reviewed_by", "reviewed_at", "predicted_label")


def state(dataset: fo.Dataset, label_id: str) -> dict[str, Any]:
    """What the database holds, not what a sample in memory remembers."""
    for sample in dataset._sample_collection.find({}):
        for label in sample[FIELD]["detections"]:
            if str(label["_id"]) == label_id:
                return {name: label.get(name) for name in KEPT}
    raise KeyError(label_id)


def everything(dataset: fo.Dataset) -> list[Any]:
    return [s[FIELD] for s in dataset._sample_collection.find({}).sort("_id")]


def test_a_decision_says_who_and_when(labelled: fo.Dataset, ids: dict[str, str]) -> None:
    before = datetime.now(timezone.utc).replace(tzinfo=None)
    assert accept(labelled, FIELD, ids["cat"], by="ada") == 1
    found = state(labelled, ids["cat"])
    assert (found["label"], found["review"], found["reviewed_by"]) == ("cat", "accepted", "ada")
    assert abs(found["reviewed_at"] - before) < timedelta(seconds=10)
    assert found["predicted_label"] is None


def test_a_renamed_label_keeps_the_models_name_and_its_mask(
    labelled: fo.Dataset, ids: dict[str, str]
) -> None:
    mask = labelled.first()[FIELD].detections[1].mask
    rename(labelled, FIELD, [ids["dog"]], "  pet \n fox ", by="ada")
    label = labelled.first()[FIELD].detections[1]
    assert (label.label, label["predicted_label"], label["review"]) == ("pet fox", "dog", "renamed")
    assert label.confidence == 0.3
    assert np.array_equal(label.mask, mask)
    rename(labelled, FIELD, ids["dog"], "wolf", by="bob")
    assert state(labelled, ids["dog"])["predicted_label"] == "dog"


def test_a_name_may_look_like_a_database_expression(
    labelled: fo.Dataset, ids: dict[str, str]
) -> None:
    rename(labelled, FIELD, ids["dog"], "$_id", by="$$ROOT")
    found = state(labelled, ids["dog"])
    assert (found["label"], found["reviewed_by"]) == ("$_id", "$$ROOT")


def test_giving_back_the_models_name_accepts_it(labelled: fo.Dataset, ids: dict[str, str]) -> None:
    rename(labelled, FIELD, ids["dog"], "fox")
    assert rename(labelled, FIELD, ids["dog"], "dog") == 1
    found = state(labelled, ids["dog"])
    assert (found["label"], found["review"], found["predicted_label"]) == ("dog", "accepted", None)


@pytest.mark.parametrize(
    "decide",
    [
        lambda d, i, by: accept(d, FIELD, i, by=by),
        lambda d, i, by: rename(d, FIELD, i, "fox", by=by),
        lambda d, i, by: reject_labels(d, FIELD, i, by=by),
    ],
)
def test_the_same_decision_again_changes_nothing(
    labelled: fo.Dataset, ids: dict[str, str], decide: Any
) -> None:
    assert decide(labelled, [ids["dog"]], "ada") == 1
    first = state(labelled, ids["dog"])
    assert decide(labelled, [ids["dog"], ids["dog"]], "bob") == 0
    assert state(labelled, ids["dog"]) == first


def test_accepting_a_renamed_label_keeps_its_name(
    labelled: fo.Dataset, ids: dict[str, str]
) -> None:
    rename(labelled, FIELD, ids["dog"], "fox", by="ada")
    assert accept(labelled, FIELD, list(ids.values())[:3], by="bob") == 2
    found = state(labelled, ids["dog"])
    assert (found["label"], found["review"], found["reviewed_by"]) == ("fox", "renamed", "ada")


def test_a_rejected_label_goes_back_to_the_models_name(
    labelled: fo.Dataset, ids: dict[str, str]
) -> None:
    rename(labelled, FIELD, ids["dog"], "fox")
    reject_labels(labelled, FIELD, ids["dog"])
    found = state(labelled, ids["dog"])
    assert (found["label"], found["review"], found["predicted_label"]) == ("dog", "rejected", None)
    accept(labelled, FIELD, ids["dog"])
    assert state(labelled, ids["dog"])["review"] == "accepted"


def test_many_labels_are_decided_with_few_calls_and_undone_as_one(
    labelled: fo.Dataset, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(labelled)
    accept(labelled, FIELD, ids["cat"])
    writes: list[int] = []
    write = Collection.bulk_write

    def counted(self: Any, ops: list[Any], **kwargs: Any) -> Any:
        writes.append(len(ops))
        return write(self, ops, **kwargs)

    monkeypatch.setattr(Collection, "bulk_write", counted)
    assert rename(labelled, FIELD, (i for n, i in ids.items() if n != "nothing"), "thing") == 6
    assert writes == [3]
    assert labelled.count_values(f"{FIELD}.detections.label") == {"thing": 6, None: 1}
    assert len(undo(labelled, FIELD)) == 6
    assert labelled.count_values(f"{FIELD}.detections.label")["cup"] == 2
    assert undo(labelled, FIELD) == [ids["cat"]]  # which was accepted before
    assert undo(labelled, FIELD) == []
    blank = [[d.get("review") for d in s["detections"]] for s in everything(labelled)]
    assert blank == [[None] * 3, [None] * 2, [None] * 2]
    assert [[d.get("label") for d in s["detections"]] for s in before] == [
        [d.get("label") for d in s["detections"]] for s in everything(labelled)
    ]


def test_decisions_are_undone_latest_first_however_quickly_they_came(
    labelled: fo.Dataset, ids: dict[str, str]
) -> None:
    accept(labelled, FIELD, ids["cup2"])
    rename(labelled, FIELD, ids["dog"], "fox")
    reject_labels(labelled, FIELD, ids["person"])
    assert undo(labelled, FIELD) == [ids["person"]]
    assert undo(labelled, FIELD, steps=5) == [ids["dog"], ids["cup2"]]
    assert state(labelled, ids["dog"]) == {**dict.fromkeys(KEPT), "label": "dog"}


def test_one_may_undo_ones_own_decisions_alone(labelled: fo.Dataset, ids: dict[str, str]) -> None:
    accept(labelled, FIELD, ids["cat"], by="ada")
    accept(labelled, FIELD, ids["dog"], by="bob")
    assert undo(labelled, FIELD, by="ada") == [ids["cat"]]
    assert undo(labelled, FIELD, by="ada") == []
    assert state(labelled, ids["dog"])["review"] == "accepted"


def test_labels_can_be_opened_again_by_id(labelled: fo.Dataset, ids: dict[str, str]) -> None:
    rename(labelled, FIELD, [ids["dog"], ids["cat"]], "fox")
    assert reopen(labelled, FIELD, [ids["dog"], ids["cup"]]) == 1
    assert state(labelled, ids["dog"])["label"] == "dog"
    assert state(labelled, ids["cat"])["label"] == "fox"


def test_progress_counts_by_kind_and_only_what_can_be_named(
    labelled: fo.Dataset, ids: dict[str, str]
) -> None:
    assert progress(labelled, FIELD) == Progress(open=6)
    accept(labelled, FIELD, [ids["cat"], ids["cup"]])
    rename(labelled, FIELD, ids["dog"], "fox")
    reject_labels(labelled, FIELD, ids["person"])
    found = progress(labelled, FIELD)
    assert found == Progress(accepted=2, renamed=1, rejected=1, open=2)
    assert (found.decided, found.total) == (4, 6)
    assert progress(labelled.limit(1), FIELD) == Progress(accepted=2, renamed=1)


def test_decisions_within_one_millisecond_are_undone_one_by_one(
    labelled: fo.Dataset, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(timezone.utc).replace(microsecond=123_456)
    monkeypatch.setattr(decisions, "_latest", datetime.min)
    stopped = type("Stopped", (datetime,), {"now": classmethod(lambda cls, tz: now)})
    monkeypatch.setattr(decisions, "datetime", stopped)
    names = ["cat", "dog", "cup", "cup2"]
    for name in names:
        accept(labelled, FIELD, ids[name], by="ada")
    times = [state(labelled, ids[name])["reviewed_at"] for name in names]
    first = now.replace(microsecond=123_000, tzinfo=None)
    assert times == [first + timedelta(milliseconds=n) for n in range(4)]
    assert [undo(labelled, FIELD) for _ in names] == [[ids[name]] for name in reversed(names)]


def test_a_clock_that_was_set_back_changes_no_order(
    labelled: fo.Dataset, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = datetime.now(timezone.utc) + timedelta(hours=1)
    fast = type("Fast", (datetime,), {"now": classmethod(lambda cls, tz: ahead)})
    with monkeypatch.context() as patch:
        patch.setattr(decisions, "datetime", fast)
        accept(labelled, FIELD, ids["cat"], by="ada")
    for name in ("dog", "cup"):
        monkeypatch.setattr(decisions, "_latest", datetime.min)  # a new process
        rename(labelled, FIELD, ids[name], "lynx", by="ada")
    assert [undo(labelled, FIELD, by="ada") for _ in range(3)] == [
        [ids[name]] for name in ("cup", "dog", "cat")
    ]


def test_a_decision_that_says_less_is_undone_and_no_name_lost(
    labelled: fo.Dataset, ids: dict[str, str]
) -> None:
    """As other tools' files tell it: by nobody, or without what the model had called it."""
    at = datetime(2026, 1, 1)
    rows = {"cat": {"review": "accepted", "reviewed_at": at}, "dog": {"review": "renamed"}}
    for name, values in rows.items():
        label = {f"{FIELD}.detections._id": ObjectId(ids[name])}
        told = {f"{FIELD}.detections.$.{key}": value for key, value in values.items()}
        labelled._sample_collection.update_one(label, {"$set": told})
    assert undo(labelled, FIELD) == [ids["cat"]]
    assert undo(labelled, FIELD) == []
    assert reopen(labelled, FIELD, ids["dog"]) == 1
    assert [state(labelled, ids[name])["label"] for name in rows] == ["cat", "dog"]
    assert rename(labelled, FIELD, ids["nothing"], "ghost") == 1
    assert reopen(labelled, FIELD, ids["nothing"]) == 1
    assert state(labelled, ids["nothing"])["label"] is None


def test_progress_counts_a_rejected_label_without_a_name(
    labelled: fo.Dataset, ids: dict[str, str]
) -> None:
    reject_labels(labelled, FIELD, ids["nothing"])
    assert progress(labelled, FIELD) == Progress(rejected=1, open=6)
    reject_labels(labelled, FIELD, [ids["cat"], ids["cup"]])
    assert progress(labelled, FIELD) == Progress(rejected=3, open=4)
    reopen(labelled, FIELD, ids["nothing"])
    assert progress(labelled, FIELD) == Progress(rejected=2, open=4)


def test_what_somebody_decides_anew_is_not_undone(
    labelled: fo.Dataset, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    accept(labelled, FIELD, [ids["cat"], ids["dog"]], by="ada")
    last = decided_labels.last_decided

    def late(*args: Any) -> Any:
        found = last(*args)
        monkeypatch.setattr(decided_labels, "last_decided", last)
        rename(labelled, FIELD, ids["dog"], "fox", by="bob")
        return found

    monkeypatch.setattr(decided_labels, "last_decided", late)
    undo(labelled, FIELD)
    assert state(labelled, ids["cat"])["review"] is None
    assert state(labelled, ids["dog"])["label"] == "fox"


def test_a_decision_leaves_unsaved_edits_of_samples_in_memory(
    labelled: fo.Dataset, ids: dict[str, str]
) -> None:
    sample = labelled.first()
    sample.tags.append("mine")
    accept(labelled, FIELD, ids["cat"])
    assert sample[FIELD].detections[0]["review"] == "accepted"
    undo(labelled, FIELD)
    sample.save()
    labelled.reload()
    assert labelled.first().tags == ["mine"]


def test_samples_in_memory_see_the_decision(labelled: fo.Dataset, ids: dict[str, str]) -> None:
    sample = labelled.first()
    rename(labelled, FIELD, ids["cat"], "lynx")
    assert sample[FIELD].detections[0].label == "lynx"


def test_two_people_may_decide_at_once(
    labelled: fo.Dataset, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    find = decided_labels.find

    def late(*args: Any) -> Any:
        found = find(*args)
        monkeypatch.setattr(decided_labels, "find", find)
        rename(labelled, FIELD, ids["dog"], "fox", by="bob")
        return found

    monkeypatch.setattr(decided_labels, "find", late)
    accept(labelled, FIELD, ids["dog"], by="ada")
    found = state(labelled, ids["dog"])
    assert (found["label"], found["review"], found["predicted_label"]) == ("fox", "renamed", "dog")


@pytest.mark.parametrize(("name", "error"), [("  ", ValueError), (None, TypeError)])
def test_an_empty_name_is_refused(
    labelled: fo.Dataset, ids: dict[str, str], name: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match="the new name"):
        rename(labelled, FIELD, ids["cat"], name)
    assert state(labelled, ids["cat"])["review"] is None


def test_a_label_without_a_name_can_be_rejected_or_named_but_not_accepted(
    labelled: fo.Dataset, ids: dict[str, str]
) -> None:
    with pytest.raises(ValueError, match="1 of these labels have no name to accept"):
        accept(labelled, FIELD, [ids["cat"], ids["nothing"]])
    assert state(labelled, ids["cat"])["review"] is None
    rename(labelled, FIELD, ids["nothing"], "moon")
    undo(labelled, FIELD)
    assert state(labelled, ids["nothing"])["label"] is None
    assert reject_labels(labelled, FIELD, ids["nothing"]) == 1


def test_copies_of_labels_in_a_patches_view_are_refused(
    labelled: fo.Dataset, ids: dict[str, str]
) -> None:
    with pytest.raises(ValueError, match="give that dataset itself"):
        accept(labelled.to_patches(FIELD), FIELD, ids["cat"])


def test_read_only_labels_are_refused(labelled: fo.Dataset, ids: dict[str, str]) -> None:
    field = labelled.get_field(f"{FIELD}.detections.label")
    field.read_only = True
    field.save()
    with pytest.raises(ValueError, match=r"'ovsam\.detections\.label' is read-only"):
        accept(labelled, FIELD, ids["cat"])


def test_the_reviewer_is_the_systems_user_unless_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OVSAM_REVIEWER", " ada ")
    assert reviewer() == "ada"
    monkeypatch.delenv("OVSAM_REVIEWER")
    monkeypatch.setenv("LOGNAME", "grace")
    assert reviewer() == "grace"


@pytest.mark.parametrize("steps", [0, -1])
def test_undoing_less_than_one_step_is_refused(labelled: fo.Dataset, steps: int) -> None:
    with pytest.raises(ValueError, match="must be 1 or more"):
        undo(labelled, FIELD, steps=steps)


def test_an_id_may_be_the_database_s_own(labelled: fo.Dataset, ids: dict[str, str]) -> None:
    assert accept(labelled, FIELD, ObjectId(ids["cat"])) == 1
    assert reject_labels(labelled, FIELD, [ObjectId(ids["dog"]), ids["cup"]]) == 2


def test_labels_get_names_of_their_own_in_one_decision(
    labelled: fo.Dataset, ids: dict[str, str]
) -> None:
    names = {ids["cat"]: "lynx", ids["dog"]: "fox", ids["cup"]: "cup"}
    assert rename_each(labelled, FIELD, names, by="ann") == 3
    given = [state(labelled, ids[name])["label"] for name in ("cat", "dog", "cup")]
    assert given == ["lynx", "fox", "cup"]
    assert progress(labelled, FIELD) == Progress(accepted=1, renamed=2, open=3)
    with pytest.raises(ValueError, match="nothing was decided"):
        rename_each(labelled, FIELD, {ids["cat"]: "a", "6" * 24: "b"})
    assert sorted(undo(labelled, FIELD)) == sorted(names)
    assert progress(labelled, FIELD) == Progress(open=6)


def test_undo_tells_of_no_label_that_somebody_decided_anew_meanwhile(
    labelled: fo.Dataset, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    accept(labelled, FIELD, [ids["cat"], ids["dog"]], by="ann")
    last = decided_labels.last_decided

    def slow(*args: Any) -> Any:
        found = last(*args)
        reject_labels(labelled, FIELD, ids["dog"], by="ben")
        return found

    monkeypatch.setattr(decided_labels, "last_decided", slow)
    assert undo(labelled, FIELD) == [ids["cat"]]
    assert progress(labelled, FIELD) == Progress(rejected=1, open=5)


def test_an_earlier_decision_stands_again_once_a_later_one_is_undone(
    labelled: fo.Dataset, ids: dict[str, str]
) -> None:
    rename(labelled, FIELD, ids["dog"], "my careful name", by="ada")
    accept(labelled, FIELD, ids["cat"], by="ada")
    before = {name: state(labelled, ids[name]) for name in ids}
    everything_else = [i for name, i in ids.items() if name != "nothing"]
    assert reject_labels(labelled, FIELD, everything_else, by="bob") == 6
    assert rename(labelled, FIELD, ids["dog"], "wolf", by="bob") == 1
    assert undo(labelled, FIELD, by="bob") == [ids["dog"]]
    assert state(labelled, ids["dog"])["review"] == "rejected"
    assert sorted(undo(labelled, FIELD, by="bob")) == sorted(everything_else)
    assert {name: state(labelled, ids[name]) for name in ids} == before
    assert undo(labelled, FIELD, by="bob") == []
    assert progress(labelled, FIELD) == Progress(accepted=1, renamed=1, open=4)
    assert undo(labelled, FIELD, steps=5) == [ids["cat"], ids["dog"]]
    assert progress(labelled, FIELD) == Progress(open=6)
    assert state(labelled, ids["dog"])["label"] == "dog"


def test_an_imported_name_outlives_a_decision_that_is_undone_and_all_that_are_taken_back(
    labelled: fo.Dataset, ids: dict[str, str]
) -> None:
    label = {f"{FIELD}.detections._id": ObjectId(ids["dog"])}
    told = {f"{FIELD}.detections.$.review": "renamed", f"{FIELD}.detections.$.label": "fox"}
    labelled._sample_collection.update_one(label, {"$set": told})
    reject_labels(labelled, FIELD, ids["dog"], by="ada")
    assert undo(labelled, FIELD, by="ada") == [ids["dog"]]
    assert state(labelled, ids["dog"])["review"] == "renamed"
    assert reopen(labelled, FIELD, ids["dog"]) == 1
    assert state(labelled, ids["dog"])["label"] == "fox"


def test_what_is_taken_back_by_hand_brings_no_earlier_decision_back(
    labelled: fo.Dataset, ids: dict[str, str]
) -> None:
    rename(labelled, FIELD, ids["dog"], "fox")
    reject_labels(labelled, FIELD, ids["dog"])
    reopen(labelled, FIELD, ids["dog"])
    accept(labelled, FIELD, ids["dog"])
    assert undo(labelled, FIELD) == [ids["dog"]]
    assert state(labelled, ids["dog"])["review"] is None
