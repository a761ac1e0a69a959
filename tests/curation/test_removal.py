"""A run taken away, with all that was made from it and for it."""

from __future__ import annotations

import fiftyone as fo
import pytest

from ovsam_plugin.curation.relabeling import relabel_dataset
from ovsam_plugin.curation.removal import remove_run, run_traces
from ovsam_plugin.curation.scores import score_run
from ovsam_plugin.curation.search import search
from ovsam_plugin.curation.workspace import setup_workspace
from ovsam_plugin.dataset import embedding_index
from tests.curation.run_by_hand import add_index, add_run, add_truth, evaluate, snapshot

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
    relabel_dataset(named, vocabulary=OTHER, into="again", device="cpu")
    left = {"ovsam": "again", "again": "ovsam"}[gone]
    traces = remove_run(named, gone)
    assert (traces.kept_index, traces.sharers) == ("ovsam_similarity", (left,))
    assert any(line.startswith("stays: the embeddings") for line in traces.lines())
    assert len(search(named, "a cat", field=left, k=3)) == 3
    view = named.to_patches(left).sort_by_similarity("a cat", k=2, brain_key="ovsam_similarity")
    assert len(view) == 2
    remove_run(named, left)
    assert named.list_brain_runs() == []


def test_what_a_person_made_stays(plain: fo.Dataset) -> None:
    add_run(plain)
    plain.save_view("mine", plain.limit(1))
    plain.save_view("cats", plain.match_labels(fields="ovsam", ids=["0" * 24]))
    traces = run_traces(plain, "ovsam")
    assert traces.broken_views == ("cats",)
    remove_run(plain, "ovsam")
    assert sorted(plain.list_saved_views()) == ["cats", "mine"]
    assert plain.count("truth.detections") == 6


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
    with pytest.raises(ValueError, match="no run of ours is recorded for field 'asks'"):
        remove_run(named, "asks")
    with pytest.raises(ValueError, match="there is no field 'ovsm': there is 'ovsam'"):
        remove_run(named, "ovsm")
    assert snapshot(named) == before
