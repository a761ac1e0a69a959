"""Names that learn from decisions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fiftyone as fo
import pytest

from ovsam_plugin import compare_runs, learn_from_decisions, learn_names, relabel_dataset
from ovsam_plugin.curation.decisions import reject, rename, reopen
from ovsam_plugin.curation.removal import remove_run
from ovsam_plugin.dataset import runs
from ovsam_plugin.recognition.adapter import Adapter

from .decided_by_hand import PHOTOGRAPHS, THINGS, decide, make
from .run_by_hand import snapshot

COLUMNS = ("label", "confidence", "similarity", "head_score", "clip_score", "margin", "top_labels",
           "top_scores", "review", "reviewed_by", "reviewed_at", "predicted_label")  # fmt: skip


@pytest.fixture(scope="module")
def made_once() -> Iterator[fo.Dataset]:
    made = make()
    yield made
    made.delete()


@pytest.fixture
def made(made_once: fo.Dataset) -> Iterator[fo.Dataset]:
    clone = made_once.clone()
    yield clone
    clone.delete()


def values(dataset: fo.Dataset, field: str, name: str = "label") -> list[Any]:
    found: list[Any] = dataset.values(f"{field}.detections.{name}", unwind=True)
    return found


def test_what_was_decided_on_some_photographs_names_the_others(made: fo.Dataset) -> None:
    assert values(made, "ovsam") == ["cat", "cup", "cup", "cat"] * PHOTOGRAPHS
    decide(made, 6)
    summary = learn_names(made, device="cpu")
    gain = summary.lesson.gain
    assert (gain.judged, gain.before, gain.after) == (24, 18, 24)
    assert values(made, "ovsam_learned") == [thing for thing, _ in THINGS] * PHOTOGRAPHS
    assert (summary.names.decided, summary.names.instances, summary.names.changed) == (24, 24, 6)
    assert compare_runs(made, "ovsam", "ovsam_learned").different == 6
    told = str(summary.lesson)
    assert "Of 24 decided names" in told
    assert "18 were right before and 24 are now" in told


def test_what_a_person_decided_stays_as_it_is(made: fo.Dataset) -> None:
    decide(made, 6)
    # Against all that the others teach: 23 spoons' worth of doubt do not outvote a person.
    odd = made.values("ovsam.detections.id")[7][0]
    rename(made, "ovsam", odd, "spoon", by="test")
    before = {name: values(made, "ovsam", name) for name in COLUMNS}
    decided = [review is not None for review in before["review"]]
    learn_names(made, device="cpu")
    for name, column in before.items():
        assert values(made, "ovsam", name) == column, name
        kept = zip(values(made, "ovsam_learned", name), column, decided)
        assert all(new == old for new, old, stays in kept if stays), name


def test_too_few_decisions_are_refused_with_the_number_that_is_needed(made: fo.Dataset) -> None:
    untouched = snapshot(made)
    with pytest.raises(ValueError, match="0 accepted or renamed .* 20 are needed, on 5 photog"):
        learn_names(made)
    assert snapshot(made) == untouched
    decide(made, 4)
    with pytest.raises(ValueError, match="16 accepted or renamed .* on 4 photographs, are too few"):
        learn_names(made)
    reject(made, "ovsam", values(made, "ovsam", "id")[16:24])
    with pytest.raises(ValueError, match="16 accepted or renamed"):
        learn_names(made)


def test_an_estimate_writes_nothing(made: fo.Dataset) -> None:
    decide(made, 6)
    untouched = snapshot(made)
    assert learn_from_decisions(made, device="cpu").gain.after == 24
    assert snapshot(made) == untouched


def test_a_lesson_that_makes_names_worse_is_not_written(
    made: fo.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ovsam_plugin.curation import learning
    from ovsam_plugin.scoring.deciding import Gain

    decide(made, 6)
    monkeypatch.setattr(learning, "cross_validated", lambda decisions: Gain(24, 18, 17))
    untouched = snapshot(made)
    with pytest.raises(ValueError, match=r"worse, .* 18 were right .* 17 are now.*anyway=True"):
        learn_names(made, device="cpu")
    assert snapshot(made) == untouched
    learn_names(made, device="cpu", anyway=True)
    assert made.has_field("ovsam_learned")


def test_a_name_that_the_vocabulary_lacks_becomes_a_class(made: fo.Dataset, tmp_path: Path) -> None:
    decide(made, 6, spoon="our ladle")
    file = tmp_path / "learned.safetensors"
    summary = learn_names(made, save=file, device="cpu")
    assert summary.lesson.added == ("our ladle",)
    assert values(made, "ovsam_learned") == ["cat", "cup", "our ladle", "cat"] * PHOTOGRAPHS
    known = runs.recorded_vocabulary(made, "ovsam_learned")
    assert known is not None
    assert known.names == ("cat", "cup", "person", "spoon", "our ladle")
    # Decided once more, in the field that was learned: the class is there once.
    rename(made, "ovsam_learned", values(made, "ovsam_learned", "id")[-2], "our  Ladle", by="test")
    again = learn_names(made, pred_field="ovsam_learned", label_field="twice", device="cpu")
    assert len(again.lesson.added) == 1
    assert again.lesson.decisions == 25
    assert len(again.lesson.adapter.base) == 4
    assert Adapter.load(file).hash == summary.lesson.adapter.hash


def test_decisions_in_the_new_field_count_when_it_is_made_again(made: fo.Dataset) -> None:
    decide(made, 6)
    learn_names(made, device="cpu")
    last = values(made, "ovsam_learned", "id")[-2]
    rename(made, "ovsam_learned", last, "cup", by="test")
    with pytest.raises(ValueError, match="already exists"):
        learn_names(made, device="cpu")
    again = learn_names(made, device="cpu", overwrite=True)
    assert again.lesson.decisions == 25
    assert values(made, "ovsam_learned")[-2] == "cup"
    assert values(made, "ovsam_learned", "review")[-2] == "renamed"


def test_rejected_instances_lower_the_confidence_of_what_looks_alike(made: fo.Dataset) -> None:
    decide(made, 8)
    cats = values(made, "ovsam", "id")[3::4]
    reopen(made, "ovsam", cats[:8])
    plain = learn_names(made, device="cpu", label_field="plain")
    reject(made, "ovsam", cats[:8])
    summary = learn_names(made, device="cpu")
    assert (summary.lesson.rejected, summary.lesson.gain.judged) == (8, 24)
    assert plain.lesson.rejected == 0
    before, after = (values(made, f, "confidence")[35::4] for f in ("plain", "ovsam_learned"))
    assert all(new < old for new, old in zip(after, before))


def test_it_is_taken_back_like_any_run(made: fo.Dataset) -> None:
    decide(made, 6)
    untouched = snapshot(made)
    learn_names(made, device="cpu")
    remove_run(made, "ovsam_learned")
    after = snapshot(made)
    assert after["samples"] == untouched["samples"]
    assert after["run documents"] == untouched["run documents"]


def test_a_file_names_another_run_of_the_same_weights(made: fo.Dataset, tmp_path: Path) -> None:
    decide(made, 6)
    file = tmp_path / "learned.safetensors"
    learn_names(made, save=file, device="cpu")
    other = make()
    try:
        relabel_dataset(
            other, vocabulary="cat, cup, person, spoon", label_field="new", adapter=file
        )
        assert values(other, "new") == [thing for thing, _ in THINGS] * PHOTOGRAPHS
        with pytest.raises(ValueError, match="use that vocabulary"):
            relabel_dataset(other, vocabulary="coco", label_field="newer", adapter=file)
    finally:
        other.delete()


def test_instances_that_were_edited_since_teach_nothing(made: fo.Dataset) -> None:
    decide(made, 6)
    sample = made.first()
    sample["ovsam"].detections[2].bounding_box = [0.4, 0.4, 0.3, 0.3]
    sample.save()
    lesson = learn_from_decisions(made, device="cpu")
    assert (lesson.decisions, lesson.unused) == (23, 1)


def test_a_field_without_a_run_is_refused(dataset: fo.Dataset) -> None:
    with pytest.raises(ValueError, match="no field 'ovsam'"):
        learn_names(dataset)
