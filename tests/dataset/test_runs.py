"""The record of a run."""

from __future__ import annotations

from dataclasses import replace

import fiftyone as fo
import numpy as np
import pytest

from ovsam_plugin.dataset import runs
from ovsam_plugin.dataset.runs import Renaming, Settings
from ovsam_plugin.vocabulary import load_vocabulary

FIELD = "ovsam"
SETTINGS = Settings("ovsam-lite", "w", "names", "h", prompt_fields={"box_prompt_field": "asks"})
NAMES = load_vocabulary("cat, sofa|couch")


@pytest.fixture
def run(labelled: fo.Dataset) -> fo.Dataset:
    settings = replace(SETTINGS, vocabulary=NAMES.name, vocabulary_hash=NAMES.hash)
    runs.register(labelled, FIELD, settings, NAMES)
    return labelled


def renaming(source: str = FIELD) -> Renaming:
    return Renaming(source, "ovsam-lite", "w", NAMES.name, NAMES.hash)


def test_settings_that_differ_are_told_in_words_and_the_precision_is_none(run: fo.Dataset) -> None:
    recorded = runs.recorded_settings(run, FIELD)
    assert recorded is not None
    same = replace(SETTINGS, vocabulary=NAMES.name, vocabulary_hash=NAMES.hash)
    assert same.differences(recorded) == []
    assert replace(same, precision="bf16").differences(recorded) == []
    told = replace(same, tiles=4, find="a cat").differences(recorded)
    assert told == ["find was None, now 'a cat'", "tiles was 'auto', now 4"]


def test_classes_come_back_as_they_were_and_changed_ones_are_none(run: fo.Dataset) -> None:
    found = runs.recorded_vocabulary(run, FIELD)
    assert found is not None
    assert (found.hash, found.categories[1].synonyms) == (NAMES.hash, ("sofa", "couch"))
    config = run.get_run_info(FIELD).config
    config.vocabulary_hash = "other"
    config.build().update_run_config(run, FIELD, config)
    assert runs.recorded_vocabulary(run, FIELD) is None
    assert runs.recorded_vocabulary(run, "nothing") is None


def test_a_built_in_vocabulary_is_known_by_its_name(labelled: fo.Dataset) -> None:
    coco = load_vocabulary("coco")
    settings = Settings("ovsam-lite", "w", coco.name, coco.hash)
    runs.register(labelled, FIELD, settings, coco)
    assert labelled.load_run_results(FIELD) is None  # the package has its classes
    found = runs.recorded_vocabulary(labelled, FIELD)
    assert found is not None
    assert found.hash == coco.hash


def test_examples_keep_their_numbers(labelled: fo.Dataset) -> None:
    vector = np.arange(4, dtype=np.float32) / 3
    runs.register(labelled, FIELD, SETTINGS, NAMES, {"a": vector})
    (kept,) = runs.kept_examples(labelled, FIELD).items()
    assert kept[0] == "a"
    assert (kept[1] == vector).all()
    assert runs.kept_examples(labelled, "nothing") == {}


def test_relabelled_fields_have_their_source_and_share_its_embeddings(run: fo.Dataset) -> None:
    for field in ("again", "third"):
        run.clone_sample_field(FIELD, field)
        runs.register(run, field, renaming(), NAMES)
    assert runs.source_field(run, "again") == FIELD
    assert runs.recorded_settings(run, "again") is None  # no labelling filled it
    assert sorted(runs.sharers(run, "again")) == [FIELD, "third"]
    run.delete_sample_field("third")
    assert runs.sharers(run, "again") == [FIELD]
    assert set(runs.fields(run)) == {FIELD, "again", "third"}


def test_a_field_without_a_run_is_told_with_those_that_have_one(run: fo.Dataset) -> None:
    with pytest.raises(ValueError, match="no labelling run filled field 'x'; there are 'ovsam'"):
        runs.source_field(run, "x")
    run.rename_sample_field(FIELD, "other")
    told = r"if a field was 'ovsam' before.*there are none: call label_dataset first"
    with pytest.raises(ValueError, match=told):
        runs.source_field(run, "other")


def test_sessions_come_in_the_order_in_which_they_began(run: fo.Dataset) -> None:
    assert runs.last_started(run, FIELD) is None
    for started in ("2024-05-02T00:00:00+00:00", "2024-05-01T00:00:00+00:00"):
        runs.add_session(run, FIELD, {"started": started, "labelled": 1})
    assert [s["started"][:10] for s in runs.sessions(run, FIELD)] == ["2024-05-01", "2024-05-02"]
    last = runs.last_started(run, FIELD)
    assert last is not None
    assert last.day == 2
    runs.register(run, FIELD, SETTINGS, NAMES)  # it begins anew
    assert runs.sessions(run, FIELD) == []
    assert runs.now() > "2024"


def test_a_renamed_field_that_asks_is_noted_and_another_is_another_setting(
    run: fo.Dataset,
) -> None:
    run.clone_sample_field(FIELD, "asks")
    moved = replace(SETTINGS, prompt_fields={"box_prompt_field": "boxes"})
    assert not runs.rename_prompts(run, FIELD, moved)  # the old one is still there
    run.rename_sample_field("asks", "boxes")
    points = replace(SETTINGS, prompt_fields={"point_prompt_field": "boxes"})
    assert not runs.rename_prompts(run, FIELD, points)
    assert runs.rename_prompts(run, FIELD, moved)
    recorded = runs.recorded(run, FIELD)
    assert recorded is not None
    assert recorded["prompt_fields"] == {"box_prompt_field": "boxes"}


def test_a_deleted_record_leaves_nothing(run: fo.Dataset) -> None:
    runs.add_session(run, FIELD, {"started": runs.now()})
    runs.delete(run, FIELD)
    assert runs.fields(run) == []
    assert runs.sessions(run, FIELD) == []
    assert runs.recorded(run, FIELD) is None
