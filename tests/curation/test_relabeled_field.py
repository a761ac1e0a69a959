"""The field that a relabelling fills."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import fiftyone as fo
import pytest
from fiftyone import ViewField as F

from ovsam_plugin.curation.decisions import accept
from ovsam_plugin.curation.relabeled_field import (
    check_new,
    declare,
    earlier_labels,
    new_field_name,
)
from ovsam_plugin.dataset import runs
from ovsam_plugin.dataset.overwriting import Overwrite
from tests.curation.run_by_hand import add_relabelled, add_run

FIELD, INTO = "ovsam", "again"
SETTINGS = runs.Renaming(
    source=FIELD, preset="ovsam-lite", weights="w", vocabulary="v", vocabulary_hash="h"
)


@pytest.fixture
def run(dataset: fo.Dataset) -> fo.Dataset:
    add_run(dataset)
    return dataset


def label_ids(samples: Any, field: str = FIELD) -> list[str]:
    ids: list[str] = samples.values(f"{field}.detections.id", unwind=True)
    return ids


@pytest.mark.parametrize(
    ("vocabulary", "name"),
    [
        ("lvis", "ovsam_lvis"),
        ("open-22k", "ovsam_open_22k"),
        ("my names.txt", "ovsam_renamed"),
    ],
)
def test_a_new_field_is_named_after_the_vocabulary_where_that_is_a_name(
    vocabulary: str, name: str
) -> None:
    assert new_field_name(FIELD, vocabulary) == name


def test_a_free_field_and_the_same_relabelling_that_was_stopped_may_be_filled(
    run: fo.Dataset,
) -> None:
    check_new(run, FIELD, SETTINGS, INTO, overwrite=False)
    add_relabelled(run, FIELD, INTO, {})
    check_new(run, FIELD, SETTINGS, INTO, overwrite=False)  # no call of it came to its end
    other = replace(SETTINGS, vocabulary_hash="other")
    with pytest.raises(ValueError, match="'again' already exists, with names of 'v'"):
        check_new(run, FIELD, other, INTO, overwrite=False)
    check_new(run, FIELD, other, INTO, overwrite=True)
    runs.add_session(run, INTO, {"started": runs.now()})
    with pytest.raises(ValueError, match="use another field, or pass overwrite=True"):
        check_new(run, FIELD, SETTINGS, INTO, overwrite=False)


def test_a_labelling_or_its_own_source_is_never_named_over(run: fo.Dataset) -> None:
    add_run(run, "second")
    consents: tuple[Overwrite, ...] = (False, True, "all")
    for overwrite in consents:
        with pytest.raises(ValueError, match="a field of their own: choose one other than 'ovsam'"):
            check_new(run, FIELD, SETTINGS, FIELD, overwrite=overwrite)
        with pytest.raises(ValueError, match="already exists, and is a labelling run itself"):
            check_new(run, FIELD, SETTINGS, "second", overwrite=overwrite)


def test_a_field_of_others_needs_a_consent_of_its_own(run: fo.Dataset) -> None:
    run.clone_sample_field(FIELD, INTO)
    for overwrite, told in ((False, "use another field"), (True, "6 labels in it, made by no run")):
        with pytest.raises(ValueError, match=told):
            check_new(run, FIELD, SETTINGS, INTO, overwrite=overwrite)  # type: ignore[arg-type]
    check_new(run, FIELD, SETTINGS, INTO, overwrite="all")


def test_what_was_decided_or_changed_by_hand_is_known_before(run: fo.Dataset) -> None:
    assert earlier_labels(run, FIELD, INTO, label_ids(run)).samples == frozenset()
    add_relabelled(run, FIELD, INTO, {})
    accept(run, INTO, label_ids(run, INTO)[0])
    found = earlier_labels(run, FIELD, INTO, label_ids(run))
    assert {str(owner) for owner in found.samples} == set(run.values("id"))
    assert found.decided == {label_ids(run, INTO)[0]}


def test_a_view_that_hides_what_would_be_replaced_is_refused(run: fo.Dataset) -> None:
    add_relabelled(run, FIELD, INTO, {})
    part = run.limit(1)
    with pytest.raises(ValueError, match="2 samples outside this view have labels in field"):
        earlier_labels(part, FIELD, INTO, label_ids(part))
    cats = run.filter_labels(FIELD, F("label") == "cat", only_matches=False)
    with pytest.raises(ValueError, match="3 labels in field 'again' belong to instances that this"):
        earlier_labels(cats, FIELD, INTO, label_ids(cats))


def test_the_new_field_has_all_that_is_declared_and_can_be_written(run: fo.Dataset) -> None:
    run.get_field(f"{FIELD}.detections.label").read_only = True
    run.get_field(f"{FIELD}.detections.label").save()
    declare(run, FIELD, INTO)
    run.reload()
    schema = run.get_field_schema(flat=True)
    below = {name.removeprefix(FIELD) for name in schema if name.startswith(f"{FIELD}.")}
    assert below == {name.removeprefix(INTO) for name in schema if name.startswith(f"{INTO}.")}
    assert not schema[f"{INTO}.detections.label"].read_only
    assert schema[f"{FIELD}.detections.label"].read_only
