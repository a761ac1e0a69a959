"""Classes by example: made in a dataset, kept with its runs, used everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
import pytest

from ovsam_plugin import Category, label_dataset
from ovsam_plugin.curation.by_example import make_class
from ovsam_plugin.curation.decisions import rename
from ovsam_plugin.curation.learning import learn_from_decisions
from ovsam_plugin.curation.relabeling import relabel_dataset
from ovsam_plugin.curation.search import search
from ovsam_plugin.dataset import embedding_index, runs
from ovsam_plugin.vocabulary import Vocabulary

from .conftest import NAMES, SMALL

CAT = "chelsea.png:110,20,410,290"


def ids(dataset: fo.Dataset, field: str = "ovsam") -> list[str]:
    found: list[str] = dataset.values(f"{field}.detections.id", unwind=True)
    return found


def name_of(dataset: fo.Dataset, field: str, label_id: str) -> Any:
    labels = zip(ids(dataset, field), dataset.values(f"{field}.detections.label", unwind=True))
    return dict(labels)[label_id]


def test_an_example_has_the_classs_name_and_the_classes_stay(named: fo.Dataset) -> None:
    first = ids(named)[0]
    summary = make_class(named, "our valve", [first], words=False, device="cpu")
    assert (summary.field, summary.instances) == ("ovsam_our_valve", 9)
    assert name_of(named, "ovsam_our_valve", first) == "our valve"
    vocabulary = runs.recorded_vocabulary(named, "ovsam_our_valve")
    assert vocabulary is not None
    assert vocabulary.names == (*NAMES.split(", "), "our valve")
    assert vocabulary.categories[-1].examples == (first,)


def test_examples_are_kept_with_the_run_when_their_labels_are_gone(named: fo.Dataset) -> None:
    first, second = ids(named)[:2]
    make_class(named, "valve", [first], words=False, label_field="one", device="cpu")
    make_class(
        named, "gear", [second], pred_field="one", words=False, label_field="two", device="cpu"
    )
    before = named.values("two.detections.label", unwind=True)
    assert {"valve", "gear"} <= set(before)
    kept = runs.kept_examples(named, "two")
    assert set(kept) == {first, second}
    named.delete_labels(ids=[first], fields=["ovsam", "one", "two"])
    embedding_index.refresh(
        named, "ovsam", embedding_index.Embedder.of(runs.recorded(named, "ovsam") or {})
    )
    vocabulary = runs.recorded_vocabulary(named, "two")
    assert vocabulary is not None
    relabel_dataset(
        named, vocabulary=vocabulary, pred_field="two", label_field="again", device="cpu"
    )
    assert named.values("again.detections.label", unwind=True) == before[1:]


def test_examples_that_are_gone_are_named(named: fo.Dataset) -> None:
    with pytest.raises(ValueError, match=r"1 of the 2 examples of 'valve' are gone.*65f0"):
        make_class(named, "valve", [ids(named)[0], "65f000000000000000000001"], device="cpu")
    with pytest.raises(ValueError, match="needs at least one example: select instances"):
        make_class(named, "valve", [], device="cpu")
    assert named.get_field("ovsam_valve") is None


def test_labels_of_any_field_and_boxes_of_image_files_can_be_examples(
    named: fo.Dataset, photographs: dict[str, Path]
) -> None:
    drawn = named.first()["asks"].detections[0].id
    picture = f"{photographs['chelsea.png']}:110,20,410,290"
    relabel_dataset(
        named,
        vocabulary="cup, spoon",
        examples={"tabby": [drawn, picture]},
        label_field="more",
        device="cpu",
    )
    kept = runs.kept_examples(named, "more")
    assert set(kept) == {drawn, picture}
    assert all(np.linalg.norm(vector) == pytest.approx(1, abs=1e-4) for vector in kept.values())
    best = embedding_index.load(named, "ovsam").vectors @ kept[picture]
    assert name_of(named, "more", ids(named)[int(best.argmax())]) == "tabby"


@pytest.mark.parametrize(
    ("label", "why"),
    [
        (fo.Detection(label="no box"), "example shows nothing"),
        (fo.Detection(bounding_box=[0.1, 0.1, 0.2, 0.2], mask=np.zeros((3, 3), bool)), "nothing"),
        (fo.Detection(bounding_box=[1.5, 0.1, 0.2, 0.2]), "shows nothing.*outside"),
    ],
)
def test_an_example_that_shows_nothing_is_refused(
    named: fo.Dataset, label: fo.Detection, why: str
) -> None:
    sample = named.first()
    sample["bad"] = fo.Detections(detections=[label.copy()])
    sample.save()
    with pytest.raises(ValueError, match=why):
        make_class(named, "valve", [sample["bad"].detections[0].id], device="cpu")


@pytest.mark.parametrize("example", ["nowhere.jpg:0,0,9,9", "{cat}:900,900,999,999"])
def test_a_picture_that_is_not_there_or_a_box_outside_it_is_refused(
    named: fo.Dataset, photographs: dict[str, Path], example: str
) -> None:
    shown = example.format(cat=photographs["chelsea.png"])
    with pytest.raises(ValueError, match="there is no file|outside"):
        make_class(named, "valve", [shown], device="cpu")


def test_labelling_takes_classes_by_example_and_goes_on_with_them(
    dataset: fo.Dataset, photographs: dict[str, Path]
) -> None:
    for sample in dataset:
        box = fo.Detection(bounding_box=[0.25, 0.1, 0.6, 0.8])
        sample["asks"] = fo.Detections(detections=[box])
        sample.save()
    picture = f"{photographs['chelsea.png']}:110,20,410,290"
    shown = Category("type B", examples=(picture,), words=False)
    vocabulary = Vocabulary("mine", (Category("cup"), Category("woman"), shown))
    settings: dict[str, Any] = {"vocabulary": vocabulary, "box_field": "asks", **SMALL}
    label_dataset(dataset, **settings)
    assert dataset.first()["ovsam"].detections[0].label == "type B"
    assert runs.kept_examples(dataset, "ovsam").keys() == {picture}
    assert label_dataset(dataset, **settings).labelled == 0
    by_keyword = {**settings, "vocabulary": "cup, woman", "examples": {"cat": [picture]}}
    label_dataset(dataset, label_field="more", **by_keyword)
    assert dataset.first()["more"].detections[0].label == "cat"
    with pytest.raises(ValueError, match="vocabulary"):
        label_dataset(dataset, label_field="more", **{**by_keyword, "examples": {}})


def test_what_a_class_by_example_means_can_be_found_everywhere(
    dataset: fo.Dataset, photographs: dict[str, Path]
) -> None:
    picture = f"{photographs['chelsea.png']}:110,20,410,290"
    shown = Category("type B", examples=(picture,), words=False)
    found = label_dataset(dataset[:2], label_field="found", find=shown, **SMALL)
    assert found.instances >= 1
    cats = dataset.first()["found"].detections
    assert cats
    assert all(label["prompt_id"] == "type B" for label in cats)
    assert all(0.5 <= label["match"] <= 1 for label in cats)
    recorded = runs.recorded(dataset, "found")
    assert recorded is not None
    assert recorded["adapter"] is not None


def test_search_takes_the_class_several_examples_or_a_picture(
    named: fo.Dataset, photographs: dict[str, Path]
) -> None:
    first, second = ids(named)[:2]
    make_class(named, "valve", [first, second], words=False, label_field="more", device="cpu")
    kept = embedding_index.load(named, "ovsam")
    rows = kept.vectors[kept.rows([first, second])]
    expected = kept.vectors @ (rows.sum(0) / np.linalg.norm(rows.sum(0)))
    for query in ("valve", [first, second]):
        best = search(named, query, pred_field="more", k=9, device="cpu")
        order = [kept.label_ids[i] for i in np.argsort(-expected, kind="stable")]
        assert best.values("id") == order, query
    picture = f"{photographs['chelsea.png']}:110,20,410,290"
    assert (
        search(named, picture, pred_field="ovsam", k=1, device="cpu")
        .first()
        .filepath.endswith("chelsea.png")
    )
    with pytest.raises(ValueError, match="no label of the dataset has the id"):
        search(named, [first, "65f000000000000000000001"], pred_field="ovsam", device="cpu")
    with pytest.raises(ValueError, match="needs at least one"):
        search(named, [], pred_field="ovsam", device="cpu")


def test_decisions_are_learned_on_top_of_examples(named: fo.Dataset, monkeypatch: Any) -> None:
    from ovsam_plugin.curation import learning

    monkeypatch.setattr(learning, "MIN_DECISIONS", 6)
    monkeypatch.setattr(learning, "MIN_PHOTOGRAPHS", 2)
    first = ids(named)[0]
    make_class(named, "valve", [first], words=False, label_field="more", device="cpu")
    rename(named, "more", ids(named, "more")[3:], "spoon")
    lesson = learn_from_decisions(named, pred_field="more", device="cpu")
    places = [lesson.adapter.vocabulary.names[i] for i in lesson.adapter.classes]
    assert places == ["spoon", "valve"]
    assert lesson.adapter.kept.tolist() == [1, 0]
    relabel_dataset(
        named,
        vocabulary=lesson.adapter.vocabulary,
        adapter=lesson.adapter,
        pred_field="more",
        label_field="learned",
        device="cpu",
    )
    assert name_of(named, "learned", first) == "valve"
