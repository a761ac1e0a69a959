"""The scores on a run's labels."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import reload
from typing import Any

import fiftyone as fo
import numpy as np
import pytest
from bson import ObjectId

from ovsam_plugin.curation import attributes, scores
from ovsam_plugin.curation.relabeling import relabel_dataset
from ovsam_plugin.curation.scores import score_run
from ovsam_plugin.dataset import runs
from ovsam_plugin.scoring import table
from ovsam_plugin.scoring.disagreement import disagreement
from ovsam_plugin.scoring.doubt import doubt
from ovsam_plugin.scoring.score import Score

from .conftest import NAMES


def column(dataset: fo.Dataset, name: str, field: str = "ovsam") -> np.ndarray:
    values = dataset.values(f"{field}.detections.{name}", unwind=True)
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def test_every_named_instance_has_its_scores(named: fo.Dataset) -> None:
    summary = score_run(named, device="cpu")
    assert summary.instances == 9
    head, clip = (column(named, name) for name in ("head_score", "clip_score"))
    assert np.allclose(column(named, "disagreement"), disagreement(head, clip))
    outlier = column(named, "outlier")
    signs = [column(named, name) for name in ("confidence", "margin")]
    assert np.allclose(column(named, "doubt"), doubt(*signs, outlier))
    unknown = column(named, "unknown")
    assert ((unknown >= 0) & (unknown <= 1)).all()
    assert summary.unknown == (unknown >= 0.5).sum()
    assert named.get_field("ovsam.detections.doubt").description


@pytest.fixture
def one_more_row(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    steady = Score(
        "steadiness",
        "a test's own",
        lambda run: run.columns["stability"] * (1 - run.columns["doubt"]),
        needs=("stability", "doubt"),
    )
    with monkeypatch.context() as patch:
        patch.setattr(table, "SCORES", (*table.SCORES, steady))
        reload(attributes)
        yield
    reload(attributes)


def test_a_new_score_is_a_row_of_the_table(named: fo.Dataset, one_more_row: None) -> None:
    score_run(named, device="cpu")
    stability, doubted = column(named, "stability"), column(named, "doubt")
    assert np.isfinite(doubted).all()
    assert np.allclose(column(named, "steadiness"), stability * (1 - doubted))
    assert named.get_field("ovsam.detections.steadiness").description == "a test's own"


def test_whether_there_is_a_thing_is_in_doubt_where_nobody_pointed_at_it(named: fo.Dataset) -> None:
    asked = named.values("ovsam.detections.prompt_type")
    asked[0][0], asked[1][0] = "everything", "text"
    named.set_values("ovsam.detections.prompt_type", asked)
    score_run(named, device="cpu")
    found = [s for row in asked for s in row]
    objectness = np.where(
        np.isin(found, ["everything", "text"]), column(named, "objectness"), np.nan
    )
    signs = [column(named, name) for name in ("confidence", "margin", "outlier")]
    assert np.isfinite(objectness).sum() == 2
    assert np.allclose(column(named, "doubt"), doubt(*signs, objectness))


def test_what_a_vocabulary_does_not_hold_is_more_unknown(named: fo.Dataset) -> None:
    score_run(named, device="cpu")
    relabel_dataset(named, vocabulary="giraffe, toilet", label_field="wrong", device="cpu")
    score_run(named, pred_field="wrong", device="cpu")
    assert column(named, "unknown", "wrong").mean() > column(named, "unknown").mean()


def test_the_share_that_counts_as_unknown_is_grouped(named: fo.Dataset) -> None:
    summary = score_run(named, share=1.0, device="cpu")
    assert summary.unknown == 9
    groups = column(named, "group")
    sizes = [int((groups == number).sum()) for number in range(1, summary.groups + 1)]
    assert sizes == sorted(sizes, reverse=True)
    assert all(size >= 2 for size in sizes)
    none = score_run(named, share=0.0, device="cpu")
    assert (none.unknown, none.groups) == (0, 0)
    assert np.isnan(column(named, "group")).all()


def test_labels_that_no_model_named_have_no_scores(named: fo.Dataset) -> None:
    sample = named.first()
    sample["ovsam"].detections.append(fo.Detection(label="drawn", bounding_box=[0, 0, 1, 1]))
    sample.save()
    assert score_run(named, device="cpu").instances == 9
    assert named.first()["ovsam"].detections[-1]["doubt"] is None


def test_a_list_of_names_is_remembered_with_its_run(named: fo.Dataset) -> None:
    vocabulary = runs.recorded_vocabulary(named, "ovsam")
    assert vocabulary is not None
    assert vocabulary.names == tuple(NAMES.split(", "))
    relabel_dataset(named, vocabulary="coco", label_field="coco", device="cpu")
    coco = runs.recorded_vocabulary(named, "coco")
    assert coco is not None
    assert len(coco) == 80
    assert runs.recorded_vocabulary(named, "asks") is None


def test_what_cannot_be_scored_is_a_clear_error(named: fo.Dataset) -> None:
    with pytest.raises(ValueError, match="0 to 1, got 2"):
        score_run(named, share=2)
    with pytest.raises(ValueError, match="no labelling run filled field 'asks'"):
        score_run(named, pred_field="asks")


def test_a_run_none_of_whose_labels_has_an_embedding_keeps_its_scores(named: fo.Dataset) -> None:
    score_run(named, device="cpu")
    labels = named.values("ovsam.detections.id", unwind=True)
    for sample in named.iter_samples(autosave=True):
        for label in sample["ovsam"].detections:
            label.id = str(ObjectId())
    before = column(named, "doubt")
    assert set(labels).isdisjoint(named.values("ovsam.detections.id", unwind=True))
    with pytest.raises(ValueError, match="no label of field 'ovsam' has an embedding"):
        score_run(named, device="cpu")
    assert np.array_equal(column(named, "doubt"), before)


@pytest.mark.parametrize("gone", [0, 1])
def test_a_label_deleted_meanwhile_gives_no_other_its_scores(
    named: fo.Dataset, gone: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = ["ovsam.detections.id", "ovsam.detections.doubt"]
    score_run(named, device="cpu")
    wanted = dict(zip(*named.values(paths, unwind=True)))
    label = list(wanted)[gone]
    best = scores._best_logits

    def late(*args: Any) -> Any:
        named.delete_labels(ids=[label], fields=["ovsam"])
        return best(*args)

    monkeypatch.setattr(scores, "_best_logits", late)
    score_run(named, device="cpu")
    assert dict(zip(*named.values(paths, unwind=True))) == {
        i: doubt for i, doubt in wanted.items() if i != label
    }


@pytest.mark.parametrize("name", ["doubt", "group"])
def test_a_read_only_score_is_refused_before_anything_is_computed(
    named: fo.Dataset, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    score_run(named, device="cpu")
    field = named.get_field(f"ovsam.detections.{name}")
    field.read_only = True
    field.save()
    monkeypatch.setattr(scores, "_best_logits", None)
    with pytest.raises(ValueError, match=f"{name}' is read-only"):
        score_run(named, device="cpu")
