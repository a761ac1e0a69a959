"""A run taken away, with all that was made from it and for it."""

from __future__ import annotations

from dataclasses import replace

import fiftyone as fo
import fiftyone.brain as fob
import numpy as np
import pytest

from ovsam_plugin.curation.learning import learn_from_decisions
from ovsam_plugin.curation.relabeling import relabel_dataset
from ovsam_plugin.curation.removal import remove_run, run_traces
from ovsam_plugin.curation.scores import score_run
from ovsam_plugin.curation.search import search
from ovsam_plugin.curation.workspace import setup_workspace
from ovsam_plugin.dataset import embedding_index, runs
from ovsam_plugin.dataset.embedding_spool import EmbeddingSpool
from ovsam_plugin.dataset.workers import Worker
from tests.curation.run_by_hand import add_index, add_run, add_truth, evaluate, snapshot
from tests.curation.test_workspace import arrange

OTHER = "tabby cat, coffee, astronaut"


@pytest.fixture
def plain(dataset: fo.Dataset) -> fo.Dataset:
    """The photographs with a ground truth."""
    add_truth(dataset)
    return dataset


def test_nothing_is_left_of_a_run(plain: fo.Dataset) -> None:
    before = snapshot(plain)
    add_run(plain)
    add_index(plain)
    evaluate(plain)
    setup_workspace(plain, "ovsam")
    traces = run_traces(plain, "ovsam")
    assert (traces.labels, traces.evaluations) == (6, ("ovsam_eval",))
    assert traces.brain_runs == ("ovsam_similarity",)
    assert "evaluation ovsam_eval" in traces.lines()
    assert remove_run(plain, "ovsam") == traces
    after = snapshot(plain)
    for name in set(before) | set(after):
        assert after.get(name) == before.get(name), name


def test_a_real_run_goes_with_its_scores_and_index(named: fo.Dataset) -> None:
    score_run(named, device="cpu")
    search(named, "a cat")
    remove_run(named, "ovsam")
    assert (named.list_runs(), named.list_brain_runs(), named._list_stores()) == ([], [], [])
    assert set(named.get_field_schema()).isdisjoint({"ovsam", "ovsam_error"})


@pytest.mark.parametrize("gone", ["ovsam", "again"])
def test_an_index_stays_as_long_as_a_run_needs_it(named: fo.Dataset, gone: str) -> None:
    relabel_dataset(named, vocabulary=OTHER, label_field="again", device="cpu")
    left = {"ovsam": "again", "again": "ovsam"}[gone]
    traces = remove_run(named, gone)
    assert (traces.kept_index, traces.sharers) == ("ovsam_similarity", (left,))
    assert any(line.startswith("stays: the embeddings") for line in traces.lines())
    assert len(search(named, "a cat", pred_field=left, k=3)) == 3
    view = named.to_patches(left).sort_by_similarity("a cat", k=2, brain_key="ovsam_similarity")
    assert len(view) == 2
    assert score_run(named, pred_field=left, device="cpu").instances
    again = relabel_dataset(
        named, vocabulary=OTHER, pred_field=left, label_field="third", device="cpu"
    )
    assert again.instances
    remove_run(named, "third")
    with pytest.raises(ValueError, match="0 accepted .* too few to learn from"):
        learn_from_decisions(named, pred_field=left, device="cpu")
    remove_run(named, left)
    assert named.list_brain_runs() == []


def test_a_run_that_is_being_labelled_stays_until_that_has_ended(plain: fo.Dataset) -> None:
    add_run(plain)
    with Worker(plain, "ovsam") as worker:
        worker.begin()
        with pytest.raises(ValueError, match="1 call is labelling field 'ovsam' now: end that"):
            remove_run(plain, "ovsam")
    assert run_traces(plain, "ovsam").labels == 6
    assert remove_run(plain, "ovsam").labels == 6


def test_what_a_person_made_stays(plain: fo.Dataset) -> None:
    add_run(plain)
    plain.save_view("mine", plain.limit(1))
    plain.save_view("cats", plain.match_labels(fields="ovsam", ids=["0" * 24]))
    traces = run_traces(plain, "ovsam")
    assert traces.broken_views == ("cats",)
    remove_run(plain, "ovsam")
    assert sorted(plain.list_saved_views()) == ["cats", "mine"]
    assert plain.count("truth.detections") == 6


def test_views_about_a_field_are_found_whatever_its_letters(plain: fo.Dataset) -> None:
    add_run(plain, "étiquettes")
    plain.save_view("chats", plain.filter_labels("étiquettes", fo.ViewField("label") == "cat"))
    assert run_traces(plain, "étiquettes").broken_views == ("chats",)


def test_a_clone_loses_nothing(named: fo.Dataset) -> None:
    clone = named.clone()
    try:
        remove_run(named, "ovsam")
        assert clone.count("ovsam.detections") == 9
        assert len(embedding_index.load(clone, "ovsam")) == 9
    finally:
        clone.delete()


def test_what_is_no_run_is_refused_and_kept(named: fo.Dataset) -> None:
    before = snapshot(named)
    with pytest.raises(ValueError, match="no labelling run is recorded for field 'asks'"):
        remove_run(named, "asks")
    with pytest.raises(ValueError, match="there is no field 'ovsm': there is 'ovsam'"):
        remove_run(named, "ovsm")
    assert snapshot(named) == before


def add_everything(dataset: fo.Dataset, field: str = "ovsam") -> None:
    """A run and all that this package makes of it."""
    add_run(dataset, field)
    add_index(dataset, field)
    EmbeddingSpool(dataset, field)._store.put("key", {"labels": [], "vectors": b""})
    evaluate(dataset, field)
    setup_workspace(dataset, field)


def decide(dataset: fo.Dataset) -> None:
    sample = dataset.first()
    sample["ovsam"].detections[0]["review"] = "accepted"
    sample.save()


@pytest.mark.parametrize("arranged", [False, True])
def test_the_dataset_is_as_it_was_before_labelling(plain: fo.Dataset, arranged: bool) -> None:
    if arranged:
        arrange(plain)
    before = snapshot(plain)
    add_everything(plain)
    assert snapshot(plain) != before
    traces = remove_run(plain, "ovsam")
    assert snapshot(plain) == before
    assert traces.labels == 6
    assert traces.fields == ("ovsam", "ovsam_error", "ovsam_labels", "ovsam_confidence")
    assert traces.evaluations == ("ovsam_eval",)
    assert traces.brain_runs == ("ovsam_similarity",)


def test_what_is_planned_changes_nothing_and_is_said_in_words(plain: fo.Dataset) -> None:
    add_everything(plain)
    decide(plain)
    view = plain.filter_labels("ovsam", fo.ViewField("label") == "cat")
    plain.save_view("cats of mine", view)
    plain.save_view("truth of mine", plain.exists("truth"))
    before = snapshot(plain)
    traces = run_traces(plain, "ovsam")
    assert snapshot(plain) == before
    assert traces.broken_views == ("cats of mine",)
    assert replace(traces, labels=1, reviewed=0).lines()[0] == "1 label"
    assert traces.lines() == [
        "6 labels, 1 of them decided by a person",
        "fields ovsam, ovsam_error, ovsam_labels, ovsam_confidence",
        "evaluation ovsam_eval",
        "brain run ovsam_similarity",
        "saved views " + ", ".join(traces.views),
        "workspace OVSAM curation",
        "database indexes ovsam.detections.label, ovsam.detections.confidence, "
        "ovsam.detections.review",
        "sidebar group ovsam run",
        "colours",
        "stays, but will not load: your view 'cats of mine'",
    ]
    assert len(traces.views) == 6
    assert remove_run(plain, "ovsam") == traces
    assert plain.list_saved_views() == ["cats of mine", "truth of mine"]


def test_another_run_keeps_all_that_is_its_own(plain: fo.Dataset) -> None:
    add_everything(plain, "second")
    before = snapshot(plain)
    add_everything(plain)
    traces = remove_run(plain, "ovsam")
    assert traces.workspace is None
    assert snapshot(plain) == before
    remove_run(plain, "second")
    assert plain.list_workspaces() == []


def test_other_brain_runs_over_the_labels_go_with_them(plain: fo.Dataset) -> None:
    before = snapshot(plain)
    add_run(plain)
    points = np.zeros((6, 2))
    fob.compute_visualization(plain, patches_field="ovsam", points=points, brain_key="map")
    assert remove_run(plain, "ovsam").brain_runs == ("map",)
    assert snapshot(plain) == before


def test_a_removal_that_was_interrupted_is_finished_by_the_same_call(
    plain: fo.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(plain)
    add_everything(plain)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    for name in ("delete_brain_run", "delete_sample_fields", "delete_run"):
        with monkeypatch.context() as patch:
            patch.setattr(fo.Dataset, name, stop)
            with pytest.raises(KeyboardInterrupt):
                remove_run(plain, "ovsam")
    remove_run(plain, "ovsam")
    assert snapshot(plain) == before


def test_a_run_whose_labels_were_deleted_by_hand_is_cleared_away(plain: fo.Dataset) -> None:
    before = snapshot(plain)
    add_everything(plain)
    plain.delete_sample_field("ovsam")
    assert remove_run(plain, "ovsam").labels == 0
    assert snapshot(plain) == before


def test_a_renamed_run_is_refused_with_the_way_back(plain: fo.Dataset) -> None:
    before = snapshot(plain)
    add_everything(plain)
    plain.rename_sample_field("ovsam", "other")
    renamed = snapshot(plain)
    back = r"dataset\.rename_sample_field\('other', 'ovsam'\)"
    for name in ("ovsam", "other"):
        with pytest.raises(ValueError, match=back):
            remove_run(plain, name)
    assert snapshot(plain) == renamed
    plain.rename_sample_field("other", "ovsam")
    remove_run(plain, "ovsam")
    assert snapshot(plain) == before


def test_a_clone_and_its_source_are_removed_apart(plain: fo.Dataset) -> None:
    add_everything(plain)
    clone = plain.clone()
    kept = {**snapshot(plain), "files": None}
    remove_run(clone, "ovsam")
    assert {**snapshot(plain), "files": None} == kept
    left = snapshot(clone)
    assert not clone.list_runs() + clone.list_brain_runs() + clone.list_evaluations()
    assert "app_config.sidebar_groups" not in left
    assert "app_config.color_scheme" not in left
    assert left["view documents"] == left["workspace documents"] == []
    assert not [name for name in left["indexes"] if "ovsam" in name]
    assert [field["name"] for field in left["sample_fields"]][-1] == "truth"
    clone.delete()


def test_a_dataset_made_of_a_view_has_no_run_to_remove(plain: fo.Dataset) -> None:
    add_everything(plain)
    clone = plain.limit(1).clone()
    before = snapshot(clone)
    with pytest.raises(ValueError, match="no labelling run is recorded for field 'ovsam'"):
        remove_run(clone, "ovsam")
    assert snapshot(clone) == before
    clone.delete()


def test_fields_that_no_run_of_ours_made_are_refused(plain: fo.Dataset) -> None:
    add_everything(plain)
    plain.register_run("truth", plain.init_run(method="another/tool"))
    before = snapshot(plain)
    for name in ("truth", "ovsam_workspace", "ovsam_labels", "metadata"):
        with pytest.raises(ValueError, match="'ovsam'"):
            remove_run(plain, name)
    assert snapshot(plain) == before
    assert runs.fields(plain) == ["ovsam"]


@pytest.mark.parametrize("path", ["ovsam", "ovsam_error"])
def test_a_read_only_run_is_refused_before_anything_is_removed(
    plain: fo.Dataset, path: str
) -> None:
    add_everything(plain)
    field = plain.get_field(path)
    field.read_only = True
    field.save()
    before = snapshot(plain)
    with pytest.raises(ValueError, match=f"'{path}' is read-only"):
        remove_run(plain, "ovsam")
    assert snapshot(plain) == before


def test_unsaved_edits_of_other_fields_stay(plain: fo.Dataset) -> None:
    add_everything(plain)
    first, second, _ = list(plain)
    first.tags.append("mine")
    first["ovsam"].detections[0].label = "tabby"
    second["truth"].detections[0].label = "tabby"
    remove_run(plain, "ovsam")
    first.save()
    second.save()
    plain.reload()
    assert plain.first().tags == ["mine"]
    assert not any("ovsam" in row for row in plain._sample_collection.find({}))
    assert plain.skip(1).first()["truth"].detections[0].label == "tabby"
