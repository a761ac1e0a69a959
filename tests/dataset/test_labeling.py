"""`label_dataset`: what is recorded, what a second call does, and what is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import fiftyone as fo
import pytest
from safetensors.torch import load_file, save_file

from ovsam_plugin import LabelSummary, label_dataset
from ovsam_plugin.checkpoints.preset_weights import SHIPPED, file_sha256
from ovsam_plugin.curation.decisions import rename
from ovsam_plugin.dataset import runs
from ovsam_plugin.dataset.model import OvsamModel
from ovsam_plugin.recognition.calibration import Calibration

ROOT = Path(__file__).resolve().parents[2]
NAMES = "cat, cup, person, spoon"
SMALL = {"vocabulary": NAMES, "device": "cpu", "workers": 0, "progress": False}
"""Settings of every call here, so that the model is loaded once."""


def label(samples: Any, **settings: Any) -> LabelSummary:
    return label_dataset(samples, **{**SMALL, "box_field": "asks", **settings})


def label_ids(dataset: fo.Dataset, field: str = "ovsam") -> list[list[str] | None]:
    ids: list[list[str] | None] = dataset.values(f"{field}.detections.id")
    return ids


def test_a_run_is_counted_and_recorded_with_all_that_made_it(
    boxed: fo.Dataset, model: OvsamModel
) -> None:
    summary = label(boxed)
    assert (summary.samples, summary.labelled, summary.kept, summary.failed) == (3, 3, 0, 0)
    assert summary.instances == 3
    config = boxed.get_run_info("ovsam").config.serialize()
    vocabulary = model.labeler.recognizer.vocabulary
    assert config["preset"] == "ovsam-lite"
    assert config["weights"] == model.labeler.predictor.weights_hash
    assert config["vocabulary"] == vocabulary.name
    assert config["vocabulary_hash"] == vocabulary.hash
    assert config["prompt_fields"] == {"box_prompt_field": "asks"}
    assert config["versions"]["fiftyone"] == fo.__version__
    (session,) = runs.sessions(boxed, "ovsam")
    assert session["labelled"] == 3
    assert session["seconds"] > 0


def test_weights_of_one_s_own_are_used_and_recorded(boxed: fo.Dataset, tmp_path: Path) -> None:
    own = tmp_path / "own.safetensors"
    state = load_file(SHIPPED / "ovsam-lite.safetensors")
    state["mask_decoder.label_token.weight"] += 1
    save_file(state, own)
    with pytest.raises(FileNotFoundError, match="gone.safetensors"):
        label(boxed, weights=tmp_path / "gone.safetensors")
    assert label(boxed, weights=own).instances == 3
    assert boxed.get_run_info("ovsam").config.serialize()["weights"] == file_sha256(own)
    with pytest.raises(ValueError, match="weights"):
        label(boxed)


def test_a_second_call_labels_only_what_has_no_labels(boxed: fo.Dataset) -> None:
    label(boxed)
    before = label_ids(boxed)
    sample = boxed.first()
    sample["ovsam"] = None
    sample.save()
    summary = label(boxed)
    assert (summary.labelled, summary.kept) == (1, 2)
    after = label_ids(boxed)
    assert after[0] != before[0]
    assert after[1:] == before[1:]
    assert len(runs.sessions(boxed, "ovsam")) == 2


def test_a_second_call_tries_again_what_failed(boxed: fo.Dataset) -> None:
    path = Path(boxed.first().filepath)
    hidden = path.rename(path.with_suffix(".hidden"))
    summary = label(boxed)
    assert (summary.labelled, summary.failed) == (3, 1)
    assert summary.reasons[0].startswith(f"{path.name}: there is no file")
    kept = label_ids(boxed)[1:]
    hidden.rename(path)
    summary = label(boxed)
    assert (summary.labelled, summary.kept, summary.failed) == (1, 2, 0)
    assert boxed.values("ovsam_error") == [None] * 3
    assert label_ids(boxed)[1:] == kept


def test_a_view_is_labelled_alone_and_the_rest_follows(boxed: fo.Dataset) -> None:
    label(boxed.limit(1))
    assert [ids is not None for ids in label_ids(boxed)] == [True, False, False]
    summary = label(boxed)
    assert (summary.labelled, summary.kept) == (2, 1)


def test_a_filtered_view_asks_only_with_what_it_shows(boxed: fo.Dataset) -> None:
    sample = boxed.first()
    more = fo.Detection(label="other", bounding_box=[0, 0, 0.5, 0.5])
    sample.asks.detections.append(more)
    sample.save()
    view = boxed.filter_labels("asks", fo.ViewField("label") == "other")
    label(view)
    assert [d.prompt_id for d in boxed.first().ovsam.detections] == [str(more.id)]
    assert len(boxed.first().asks.detections) == 2


KILLED = """
import os, signal, sys
import fiftyone as fo
from ovsam_plugin import label_dataset

def die(bar):
    if bar.iteration >= 6:
        os.kill(os.getpid(), signal.SIGKILL)

label_dataset(
    fo.load_dataset(sys.argv[1]), vocabulary="cat, cup, person, spoon", box_field="asks",
    device="cpu", workers=1, batch_size=1, progress=die,
)
"""


def test_a_killed_run_is_finished_by_the_same_call(images: list[Path], tmp_path: Path) -> None:
    box = fo.Detection(bounding_box=[0.2, 0.2, 0.6, 0.6])
    dataset = fo.Dataset(persistent=True)
    dataset.add_samples(
        [
            fo.Sample(filepath=str(path), asks=fo.Detections(detections=[box.copy()]))
            for path in images * 4
        ]
    )
    log = tmp_path / "log"
    with log.open("w") as out:  # not a pipe: the loader, which outlives its parent, would hold it
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, dataset.name],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=out,
            stderr=out,
        )
        assert process.wait(timeout=180) == -signal.SIGKILL, log.read_text()
    dataset.reload()
    before = label_ids(dataset)
    finished = [ids for ids in before if ids is not None]
    assert 1 <= len(finished) < len(dataset)
    summary = label(dataset)
    assert (summary.labelled, summary.kept) == (12 - len(finished), len(finished))
    after = label_ids(dataset)
    assert all(len(ids or []) == 1 for ids in after)
    assert [new for old, new in zip(before, after) if old is not None] == finished
    dataset.delete()


def test_the_classes_of_a_label_field_can_be_the_vocabulary(boxed: fo.Dataset) -> None:
    boxed.set_values("kind", [fo.Classification(label=name) for name in ("cat", "cup", "cat")])
    label(boxed, vocabulary="dataset:kind")
    assert set(boxed.distinct("ovsam.detections.label")) <= {"cat", "cup"}
    (first, *_) = boxed.first().ovsam.detections
    assert sorted(first.top_labels) == ["cat", "cup"]


def test_a_calibration_changes_confidences_and_is_kept_with_the_run(
    boxed: fo.Dataset, model: OvsamModel, tmp_path: Path
) -> None:
    fitted = Calibration(
        temperature=3.0,
        thresholds={name: 1.0 for name in NAMES.split(", ") if name != "cat"},
        weights=model.labeler.predictor.weights_hash,
        vocabulary=model.labeler.recognizer.vocabulary.hash,
    )
    fitted.save(tmp_path / "calibration.json")
    label(boxed)
    label(boxed, label_field="fitted", calibration=tmp_path / "calibration.json")
    plain = {d.prompt_id: d for found in boxed.values("ovsam.detections") for d in found}
    (kept,) = [d for found in boxed.values("fitted.detections") for d in found]
    assert kept.label == "cat"
    assert kept.confidence < plain[kept.prompt_id].confidence - 0.05
    recorded = boxed.get_run_info("fitted").config.serialize()["calibration"]
    assert json.loads(recorded)["temperature"] == 3.0
    with pytest.raises(ValueError, match="calibration was None, now"):
        label(boxed, calibration=fitted)
    with pytest.raises(ValueError, match="fitted for another vocabulary"):
        label(boxed, label_field="other", vocabulary="cat, dog", calibration=fitted)
    with pytest.raises(FileNotFoundError, match="no calibration at"):
        label(boxed, label_field="other", calibration=tmp_path / "none.json")


def test_words_keep_only_what_fits_them_best_first(dataset: fo.Dataset) -> None:
    view = dataset.limit(1)
    everything = label_dataset(view, label_field="all", **SMALL, grid=6)
    summary = label_dataset(view, label_field="found", find="a cat", **SMALL, grid=6)
    assert summary.instances <= everything.instances
    found = dataset.first().found.detections
    assert all(d.prompt_type == "text" and d.prompt_id == "a cat" for d in found)
    matches = [d.match for d in found]
    assert matches == sorted(matches, reverse=True)


def test_words_and_fields_together_are_refused(boxed: fo.Dataset) -> None:
    with pytest.raises(ValueError, match="`find` searches whole photographs"):
        label(boxed, find="a cat")


def test_an_unknown_field_is_answered_with_near_names(boxed: fo.Dataset) -> None:
    with pytest.raises(ValueError, match=r"there is no field 'ask'.*'asks'"):
        label(boxed, box_field="ask")
    with pytest.raises(ValueError, match=r"there is no field 'assks'.*'asks'"):
        label(boxed, vocabulary="dataset:assks")


def test_a_prompt_field_of_another_type_is_refused(boxed: fo.Dataset) -> None:
    boxed.set_values("kind", [fo.Classification(label="cat")] * 3)
    with pytest.raises(ValueError, match="'kind' holds Classification, need Detections"):
        label(boxed, box_field="kind")


def test_a_label_field_of_another_type_is_refused(boxed: fo.Dataset) -> None:
    boxed.set_values("kind", [fo.Classification(label="cat")] * 3)
    with pytest.raises(ValueError, match="'kind' holds Classification, not Detections"):
        label(boxed, label_field="kind")
    with pytest.raises(ValueError, match="'a b' cannot be a label field"):
        label(boxed, label_field="a b")
    with pytest.raises(ValueError, match="labels must go to another field"):
        label(boxed, label_field="asks")


def test_a_view_of_no_samples_is_nothing_to_do(
    boxed: fo.Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    assert label(boxed.limit(1).skip(1)) == LabelSummary(field="ovsam")
    assert "no samples" in caplog.text
    assert not boxed.has_run("ovsam")
    assert boxed.get_field("ovsam") is None


def test_videos_are_refused_with_the_way_to_their_frames() -> None:
    dataset = fo.Dataset()
    dataset.add_sample(fo.Sample(filepath="/nowhere/a.mp4"))
    with pytest.raises(ValueError, match=r"to_frames\(sample_frames=True\)"):
        label_dataset(dataset, **SMALL)
    dataset.delete()


def test_a_grouped_dataset_is_refused_and_its_slice_is_labelled(images: list[Path]) -> None:
    dataset = fo.Dataset()
    dataset.add_group_field("group", default="left")
    group = fo.Group()
    dataset.add_samples(
        [
            fo.Sample(filepath=str(path), group=group.element(name))
            for path, name in zip(images, ("left", "right"))
        ]
    )
    with pytest.raises(ValueError, match=r"select_group_slices\(\['left', 'right'\]\)"):
        label_dataset(dataset, **SMALL)
    both = dataset.select_group_slices(["left", "right"])
    assert label_dataset(both, **SMALL, grid=4).labelled == 2
    assert label_dataset(both, **SMALL, grid=4).kept == 2
    dataset.delete()


def test_patches_are_refused(boxed: fo.Dataset) -> None:
    with pytest.raises(ValueError, match="PatchesView holds copies"):
        label(boxed.to_patches("asks"))


def test_what_is_no_dataset_is_refused() -> None:
    with pytest.raises(TypeError, match=r"got str: load one by its name with fo\.load_dataset"):
        label_dataset("my dataset", **SMALL)  # type: ignore[arg-type]


def test_an_unknown_preset_or_vocabulary_writes_nothing(boxed: fo.Dataset) -> None:
    with pytest.raises(ValueError, match="ovsam-lite"):
        label(boxed, preset="ovsam-light")
    with pytest.raises(ValueError, match="lvis"):
        label(boxed, vocabulary="lvsi")
    assert boxed.get_field("ovsam") is None
    assert not boxed.has_run("ovsam")


@pytest.mark.parametrize("reviewed", [False, True])
def test_a_prompt_without_an_answer_asks_again_once_it_is_changed(
    boxed: fo.Dataset, reviewed: bool
) -> None:
    sample = boxed.first()
    boxes = ([0.5, 0.5, 0, 0.2], [0.4, 0.4, 0.2, 0], [0.5, 0.5, 0.3, 0.3])
    empty, other, good = (fo.Detection(label="thing", bounding_box=box) for box in boxes)
    sample["asks"].detections += [empty, other]
    sample.save()
    assert label(boxed).failed == 1
    assert sample["ovsam_error"].startswith("2 of 3 prompts left out: ")
    if reviewed:
        rename(boxed, "ovsam", sample["ovsam"].detections[0].id, "lynx")
    before, why = label_ids(boxed), sample["ovsam_error"]
    assert label(boxed).kept == 3
    assert (label_ids(boxed), sample["ovsam_error"]) == (before, why)
    # A new one is answered, and the reasons of the others stay.
    sample["asks"].detections.append(good)
    sample.save()
    assert label(boxed).instances == 1
    assert sample["ovsam_error"] == why.replace("2 of 3", "2 of 4")
    assert label_ids(boxed)[0][:1] == before[0]
    empty.bounding_box = [0.5, 0.5, 0.2, 0.2]
    sample.save()
    assert label(boxed).instances == 1
    assert sample["ovsam_error"].startswith(f"1 of 4 prompts left out: {other.id}: ")
    other.bounding_box = [0.4, 0.4, 0.2, 0.2]
    sample.save()
    assert label(boxed).instances == 1
    assert sample["ovsam_error"] is None
    asked = [detection.prompt_id for detection in sample["ovsam"].detections]
    assert sorted(asked) == sorted(detection.id for detection in sample["asks"].detections)
    assert label(boxed).kept == 3


def test_what_a_person_drew_where_labelling_failed_stays(boxed: fo.Dataset) -> None:
    path = Path(boxed.first().filepath)
    hidden = path.rename(path.with_suffix(".hidden"))
    assert label(boxed).failed == 1
    sample = boxed.first()
    drawn = fo.Detection(label="lynx", bounding_box=[0.1, 0.1, 0.2, 0.2])
    sample["ovsam"] = fo.Detections(detections=[drawn])
    sample.save()
    hidden.rename(path)
    assert label(boxed).labelled == 1
    assert next(d.id for d in sample["ovsam"].detections) == drawn.id
    assert len(sample["ovsam"].detections) == 2
    assert sample["ovsam_error"] is None


@pytest.mark.parametrize("vocabulary", [NAMES, "dog, fork"])
def test_a_person_s_labels_are_replaced_only_by_a_consent_of_its_own(
    boxed: fo.Dataset, vocabulary: str
) -> None:
    boxed.clone_sample_field("asks", "ground_truth")
    before = label_ids(boxed, "ground_truth")
    settings = {"label_field": "ground_truth", "vocabulary": vocabulary}
    for overwrite in (False, True):
        with pytest.raises(ValueError, match="'ground_truth' holds labels"):
            label(boxed, overwrite=overwrite, **settings)
        assert label_ids(boxed, "ground_truth") == before
    assert label(boxed, overwrite="all", **settings).labelled == 3
    assert not {str(i) for i in before} & {str(i) for i in label_ids(boxed, "ground_truth")}


@pytest.mark.parametrize("path", ["ovsam", "ovsam.detections", "ovsam_error"])
def test_a_read_only_field_is_refused_before_anything_is_labelled(
    boxed: fo.Dataset, path: str
) -> None:
    label(boxed.limit(1))
    field = boxed.get_field(path)
    field.read_only = True
    field.save()
    with pytest.raises(ValueError, match=f"'{path}' is read-only"):
        label(boxed)
    assert label_ids(boxed)[1:] == [None, None]


def test_what_stops_the_embeddings_is_told_before_anything_is_labelled(boxed: fo.Dataset) -> None:
    with pytest.raises(ValueError, match="FIFTYONE_BRAIN_SIMILARITY_LANCEDB_URI"):
        label(boxed, index_backend="lancedb")
    assert boxed.list_runs() == []
    assert boxed.get_field("ovsam") is None
    label(boxed)
    before = label_ids(boxed)
    with pytest.raises(ValueError, match="unknown backend 'faiss'"):
        label(boxed, index_backend="faiss", overwrite=True)
    assert label_ids(boxed) == before
