"""Labels changed by their ids, whatever else happens to them meanwhile."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import numpy as np
import pytest
from bson import ObjectId

from ovsam_plugin.dataset import writing
from ovsam_plugin.dataset.expressions import DECIDED
from ovsam_plugin.dataset.fields import FieldGoneError, check_writable, declare_fields
from ovsam_plugin.dataset.writing import Copy, FreshLabels

FIELD = "ovsam"


def stored(dataset: fo.Dataset, field: str = FIELD) -> list[list[dict[str, Any]] | None]:
    """What the database holds, a list a sample."""
    found = dataset._sample_collection.find({}).sort("_id")
    return [(s.get(field) or {}).get("detections") for s in found]


def names(dataset: fo.Dataset, field: str = FIELD) -> list[list[str | None] | None]:
    return [
        None if row is None else [d.get("label") for d in row] for row in stored(dataset, field)
    ]


def pairs(dataset: fo.Dataset, field: str = FIELD) -> list[tuple[ObjectId, ObjectId]]:
    found = dataset._sample_collection.find({}).sort("_id")
    return [(s["_id"], d["_id"]) for s in found for d in s[field]["detections"]]


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_a_label_deleted_meanwhile_takes_no_other_s_values(labelled: fo.Dataset, gone: int) -> None:
    rows = [(s, i, {"doubt": n / 10}) for n, (s, i) in enumerate(pairs(labelled))]
    wanted = {i: values["doubt"] for _, i, values in rows}
    labelled.delete_labels(ids=[str(rows[gone][1])], fields=[FIELD])
    writing.set_attributes(labelled, FIELD, rows)
    left = [d for row in stored(labelled) for d in row or ()]
    assert len(left) == 6
    assert {d["_id"]: d["doubt"] for d in left} == {d["_id"]: wanted[d["_id"]] for d in left}
    assert {d["_cls"] for d in left} == {"Detection"}


@pytest.mark.parametrize("cleared", [{"ovsam": None}, {"ovsam.detections": []}])
def test_nothing_is_made_where_all_labels_are_gone(
    labelled: fo.Dataset, cleared: dict[str, Any]
) -> None:
    rows = pairs(labelled)
    labelled._sample_collection.update_many({}, {"$set": cleared})
    before = list(labelled._sample_collection.find({}))
    writing.set_attributes(labelled, FIELD, [(s, i, {"doubt": 1.0}) for s, i in rows])
    writing.change_labels(labelled, FIELD, rows, {"review": {"$literal": "accepted"}})
    assert list(labelled._sample_collection.find({})) == before


@pytest.mark.parametrize("when", ["before", "during"])
def test_nothing_is_written_to_a_field_that_is_gone(
    labelled: fo.Dataset, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """FiftyOne could not read the dataset any more."""
    declare_fields(labelled, FIELD)
    collection = labelled._sample_collection
    write = collection.bulk_write

    def late(*args: Any, **kwargs: Any) -> Any:
        labelled.delete_sample_fields([FIELD])
        return write(*args, **kwargs)

    if when == "before":
        labelled.delete_sample_fields([FIELD])
    else:
        monkeypatch.setattr(collection, "bulk_write", late, raising=False)
        monkeypatch.setattr(writing, "sample_documents", lambda dataset: collection)
    fresh = [FreshLabels(i, fo.Detections()) for i in labelled.values("id")]
    with pytest.raises(
        FieldGoneError, match="field 'ovsam'.*deleted or renamed.*makes the field again"
    ):
        writing.put_labels(labelled, FIELD, fresh)
    assert not any(FIELD in document for document in collection.find({}))
    labelled.clear_cache()
    assert len([sample.filepath for sample in labelled]) == 3


def test_values_may_look_like_expressions(labelled: fo.Dataset) -> None:
    sample, label = pairs(labelled)[1]
    writing.set_attributes(labelled, FIELD, [(sample, label, {"label": "$_id", "top": ["$$d"]})])
    changed = stored(labelled)[0][1]  # type: ignore[index]
    assert (changed["label"], changed["top"]) == ("$_id", ["$$d"])
    assert names(labelled)[0] == ["cat", "$_id", "cup"]


def test_what_is_guarded_stays(labelled: fo.Dataset) -> None:
    rows = pairs(labelled)[:3]
    writing.change_labels(labelled, FIELD, rows[:1], {"review": {"$literal": "accepted"}})
    new = [(s, i, {"label": "new"}) for s, i in rows]
    writing.set_attributes(labelled, FIELD, new, unless=DECIDED)
    assert names(labelled)[0] == ["cat", "new", "new"]


def test_a_change_is_seen_in_the_time_of_its_sample_alone(labelled: fo.Dataset) -> None:
    before = labelled.values("last_modified_at")
    writing.set_attributes(labelled, FIELD, [(*pairs(labelled)[0], {"doubt": 0.5})])
    after = labelled.values("last_modified_at")
    assert after[0] > before[0]
    assert after[1:] == before[1:]


def fresh(sample: fo.Sample, *asked: str | None, error: str | None = None) -> FreshLabels:
    made = [
        fo.Detection(
            label=f"new {who}",
            bounding_box=[0.1, 0.1, 0.5, 0.5],
            mask=np.eye(4, dtype=bool),
            confidence=0.5,
            top_labels=["a", "b"],
            prompt_id=who,
            prompt_type="box",
        )
        for who in asked
    ]
    return FreshLabels(sample.id, fo.Detections(detections=made), error)


def test_fresh_labels_are_stored_as_fiftyone_stores_them(dataset: fo.Dataset) -> None:
    declare_fields(dataset, FIELD)
    first, second, _ = list(dataset)
    put = fresh(first, "a", "b")
    writing.put_labels(dataset, FIELD, [put])
    second[FIELD] = put.labels
    second.save()
    ours, theirs, none = stored(dataset)
    assert ours == theirs
    assert none is None
    assert first[FIELD].detections[1].mask.tolist() == np.eye(4, dtype=bool).tolist()
    assert first[FIELD] == put.labels


def test_labels_and_the_reason_change_together(dataset: fo.Dataset) -> None:
    declare_fields(dataset, FIELD)
    first, second, _ = list(dataset)
    writing.put_labels(dataset, FIELD, [fresh(first, error="$no"), fresh(second, "a")])
    assert (names(dataset), dataset.values("ovsam_error")) == (
        [[], ["new a"], None],
        ["$no", None, None],
    )
    assert first["ovsam_error"] == "$no"
    writing.put_labels(dataset, FIELD, [fresh(first, "a")])
    assert dataset.values("ovsam_error") == [None] * 3


def test_fresh_labels_replace_all_but_what_a_person_decided(dataset: fo.Dataset) -> None:
    declare_fields(dataset, FIELD)
    sample = dataset.first()
    writing.put_labels(dataset, FIELD, [fresh(sample, "a", "b", None)])
    decided = [pairs_of(dataset)[0], pairs_of(dataset)[2]]
    writing.change_labels(dataset, FIELD, decided, {"review": {"$literal": "accepted"}})
    writing.put_labels(dataset, FIELD, [fresh(sample, "b", "a", None)])
    assert names(dataset)[0] == ["new a", "new None", "new b", "new None"]
    assert [d.get("review") for d in stored(dataset)[0] or ()] == ["accepted"] * 2 + [None] * 2


def pairs_of(dataset: fo.Dataset) -> list[tuple[ObjectId, ObjectId]]:
    (found,) = dataset._sample_collection.find({f"{FIELD}.detections.0": {"$exists": True}})
    return [(found["_id"], d["_id"]) for d in found[FIELD]["detections"]]


def test_labels_are_added_once_however_often_they_are_put(dataset: fo.Dataset) -> None:
    declare_fields(dataset, FIELD)
    sample = dataset.first()
    more = fresh(sample, "b")
    writing.put_labels(dataset, FIELD, [fresh(sample, "a")])
    for _ in range(2):
        writing.put_labels(dataset, FIELD, [more], adds=True)
    assert names(dataset)[0] == ["new a", "new b"]


def test_labels_that_do_not_fit_leave_what_was_there_and_say_so(dataset: fo.Dataset) -> None:
    declare_fields(dataset, FIELD)
    first, second, _ = list(dataset)
    writing.put_labels(dataset, FIELD, [fresh(first, "a")])
    dataset._sample_collection.update_one(
        {"_id": ObjectId(first.id)}, {"$set": {"metadata": {"x": b"0" * 15_900_000}}}
    )
    large = fresh(first, "b")
    large.labels.detections[0]["noise"] = "x" * 1_000_000
    writing.put_labels(dataset, FIELD, [large, fresh(second, "c")])
    assert names(dataset) == [["new a"], ["new c"], None]
    found = dataset._sample_collection.find_one({"_id": ObjectId(first.id)})
    assert "16 MB" in found["ovsam_error"]
    with pytest.raises(ValueError, match=r"1 samples do not fit .* 16 MB"):
        writing.set_attributes(dataset, FIELD, [(*pairs_of_first(found), {"x": "x" * 1_000_000})])


def pairs_of_first(found: dict[str, Any]) -> tuple[ObjectId, ObjectId]:
    return found["_id"], found[FIELD]["detections"][0]["_id"]


def test_read_only_fields_are_named_with_the_way_to_change_them(labelled: fo.Dataset) -> None:
    check_writable(labelled, FIELD, ("label", "never declared"))
    for path, attributes in (
        ("ovsam.detections.label", ("label",)),
        ("ovsam.detections", ()),
        ("ovsam", ("doubt",)),
    ):
        field = labelled.get_field(path)
        field.read_only = True
        field.save()
        with pytest.raises(ValueError, match=rf"'{path}' is read-only.* f\.read_only = False"):
            check_writable(labelled, FIELD, attributes)
        field.read_only = False
        field.save()
    check_writable(labelled, "not there", ("label",))


def copied(dataset: fo.Dataset, **settings: Any) -> None:
    """All labels of the first sample into `again`, each called by its place."""
    rows = [(s, i) for s, i in pairs(dataset) if s == pairs(dataset)[0][0]]
    values = {i: {"label": f"new {n}"} for n, (_, i) in enumerate(rows)}
    one = Copy(rows[0][0], [i for _, i in rows], values, **settings)
    writing.copy_labels(dataset, FIELD, "again", [one])


@pytest.fixture
def twice(labelled: fo.Dataset) -> fo.Dataset:
    """With a field `again` that nothing was copied to yet."""
    declare_fields(labelled, "again")
    return labelled


def test_copies_have_the_ids_and_masks_of_the_source(twice: fo.Dataset) -> None:
    copied(twice)
    source, into = stored(twice)[0] or [], stored(twice, "again")[0] or []
    assert [{**d, "label": None} for d in into] == [{**d, "label": None} for d in source]
    assert names(twice, "again") == [["new 0", "new 1", "new 2"], None, None]
    assert names(twice)[0] == ["cat", "dog", "cup"]


def test_copies_take_over_what_a_person_decided_in_either_field(twice: fo.Dataset) -> None:
    copied(twice)
    cat, dog, cup = pairs(twice)[:3]
    accepted = {"review": {"$literal": "accepted"}}
    writing.change_labels(twice, FIELD, [dog], accepted)
    writing.change_labels(twice, "again", [cup], {**accepted, "label": {"$literal": "mug"}})
    copied(twice, left_out=[dog[1], cup[1], cat[1]])
    assert names(twice, "again")[0] == ["dog", "mug"]
    twice.delete_labels(ids=[str(cup[1])], fields=[FIELD])
    copied(twice)
    assert names(twice, "again")[0] == ["new 0", "dog", "mug"]


def test_copies_leave_what_a_person_drew_and_remove_what_the_source_lost(
    twice: fo.Dataset,
) -> None:
    copied(twice)
    sample = twice.first()
    sample["again"].detections.append(fo.Detection(label="drawn", bounding_box=[0, 0, 1, 1]))
    sample["again"].detections[1]["prompt_type"] = "box"
    sample.save()
    twice.delete_labels(ids=[str(pairs(twice)[1][1])], fields=[FIELD])
    copied(twice)
    assert names(twice, "again")[0] == ["new 0", "new 1", "drawn"]
    copied(twice, kept=[pairs(twice)[0][1]])
    assert names(twice, "again")[0] == ["new 0", "new 1", "drawn"]
    one = Copy(sample.id, [pairs(twice)[0][1]])
    writing.copy_labels(twice, FIELD, "again", [one], replaces_decided=True)
    assert names(twice, "again")[0] == ["cat"]


def test_labels_are_merged_in_one_write_or_not_at_all(labelled: fo.Dataset) -> None:
    (sample, kept), (_, other), (_, third), *_ = pairs(labelled)
    writing.merge_labels(labelled, FIELD, sample, kept, {"label": "$all"}, [other])
    assert names(labelled)[0] == ["$all", "cup"]
    # The one that stays is gone meanwhile: the others stay.
    writing.merge_labels(labelled, FIELD, sample, other, {"label": "none"}, [kept, third])
    assert names(labelled)[0] == ["$all", "cup"]
    assert [len(row or ()) for row in stored(labelled)] == [2, 2, 2]
