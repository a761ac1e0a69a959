"""What files say of where a label is from, out and back in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import fiftyone as fo
import pytest

from ovsam_plugin import decisions, export_clean, import_labels
from ovsam_plugin.curation.clean_export import Format
from ovsam_plugin.dataset.annotations import PromptSource, read_annotations
from ovsam_plugin.dataset.export import field_rows, write_rows
from ovsam_plugin.dataset.fields import FOUND
from ovsam_plugin.dataset.importing import attach_prompts
from ovsam_plugin.dataset.label_masks import crop_of
from ovsam_plugin.dataset.provenance import ATTRIBUTES, KEY, Provenance, attributes_of
from ovsam_plugin.dataset.runs import recorded
from ovsam_plugin.dataset.sizes import size_of


@pytest.fixture
def decided(named: fo.Dataset) -> fo.Dataset:
    """A run of nine labels, of which one was accepted, one renamed and one drawn by hand."""
    first, second, third = named.first()["ovsam"].detections
    decisions.accept(named, "ovsam", first.id, by="Eva")
    decisions.rename(named, "ovsam", second.id, "tabby", by="Jo")
    named.reload()
    sample = named.first()
    drawn = fo.Detection(label="mine", bounding_box=third.bounding_box, mask=third.get_mask())
    sample["ovsam"].detections.append(drawn)
    sample.save()
    return named


def exported(dataset: fo.Dataset, field: str, path: Path) -> list[dict[str, Any]]:
    write_rows(field_rows(dataset, field), path)
    rows: list[dict[str, Any]] = json.loads(path.read_text())
    return rows


def test_a_row_says_what_made_it_and_who_decided(decided: fo.Dataset, tmp_path: Path) -> None:
    rows = exported(decided, "ovsam", tmp_path / "p.json")
    run = recorded(decided, "ovsam")
    assert run is not None
    accepted, renamed, open_, drawn = (row[KEY] for row in rows[:4])
    for told in (accepted, renamed, open_):
        assert told["model"] == "ovsam-lite"
        assert told["weights_sha256"] == run["weights"]
        assert len(told["weights_sha256"]) == len(told["vocabulary_sha256"]) == 64
        assert told["prompt_type"] == "box"
        assert datetime.fromisoformat(told["labelled_at"]) < datetime.now(timezone.utc)
    assert (accepted["review"], accepted["reviewed_by"]) == ("accepted", "Eva")
    assert (renamed["reviewed_by"], rows[1]["category_name"]) == ("Jo", "tabby")
    assert renamed["predicted_label"] != "tabby"
    assert "review" not in open_
    assert drawn == {}


@pytest.mark.parametrize("prompt_type", ["box", *FOUND])
def test_what_came_back_goes_out_again_unchanged(
    decided: fo.Dataset, tmp_path: Path, prompt_type: str
) -> None:
    made = decided.values("ovsam.detections.prompt_type")
    kinds = [[kind and prompt_type for kind in some] for some in made]
    decided.set_values("ovsam.detections.prompt_type", kinds)
    rows = exported(decided, "ovsam", tmp_path / "p.json")
    assert (rows[0]["score"] < rows[0]["confidence"]) == (prompt_type in FOUND)
    other = fo.Dataset()
    try:
        other.add_images(decided.values("filepath"))
        found = import_labels(other, tmp_path / "p.json", label_field="back")
        assert found.problems == ()
        assert other.distinct("back.detections.reviewed_by") == ["Eva", "Jo"]
        again = exported(other, "back", tmp_path / "again.json")
        assert again == rows
        # Nothing that was read passes for the work of a run of this dataset.
        assert other.get_field("back.detections.prompt_type") is None
    finally:
        other.delete()


@pytest.fixture
def finished(decided: fo.Dataset) -> fo.Dataset:
    """The same, with nothing left open on two photographs, one instance rejected."""
    first, second = list(decided.limit(2))
    decisions.accept(decided, "ovsam", [label.id for label in first["ovsam"].detections], by="Eva")
    one, *others = (label.id for label in second["ovsam"].detections)
    decisions.reject(decided, "ovsam", one, by="Jo")
    decisions.accept(decided, "ovsam", others, by="Jo")
    decided.reload()
    return decided


@pytest.fixture
def fresh(finished: fo.Dataset) -> Iterator[fo.Dataset]:
    """A dataset of the same photographs and of nothing else."""
    made = fo.Dataset()
    made.add_images(finished.values("filepath"))
    yield made
    made.delete()


def told(labels: Iterable[fo.Label]) -> list[dict[str, Any]]:
    """What labels say of where they are from: by their own attributes, or as read from a file."""
    names = [a.name for a in ATTRIBUTES if a.name not in (KEY, "top_labels", "top_scores")]
    return [{n: label.get_attribute_value(n, None) for n in names} for label in labels]


@pytest.mark.parametrize("format", ["coco", "lvis"])
def test_clean_ground_truth_comes_back_with_all_that_is_known_of_it(
    finished: fo.Dataset, fresh: fo.Dataset, tmp_path: Path, format: Format
) -> None:
    path, again = tmp_path / "clean.json", tmp_path / "again.json"
    export = export_clean(finished, "ovsam", path, format)
    assert (export.images, export.instances) == (2, 6)

    found = import_labels(fresh, path, label_field="truth")
    assert (found.samples, found.instances, found.problems) == (2, 6, ())
    for before, after in zip(finished.limit(2), fresh):
        kept = [label for label in before["ovsam"].detections if label.review != "rejected"]
        back = after["truth"].detections
        assert told(back) == told(kept)
        assert [label.label for label in back] == [label.label for label in kept]
        facts = Provenance.of(finished, "ovsam")
        assert [Provenance().facts(label) for label in back] == [facts.facts(x) for x in kept]
        size = size_of(after)
        assert size is not None
        for label, other in zip(back, kept):
            crop, drawn = crop_of(label, size), crop_of(other, size)
            assert crop is not None
            assert drawn is not None
            assert crop.rle(size) == drawn.rle(size)

    export_clean(fresh, "truth", again, format, vocabulary=path)
    first, second = json.loads(path.read_text()), json.loads(again.read_text())
    for content in (first, second):
        content["info"].pop("date_created")
    assert second == first


@pytest.mark.parametrize("source", ["box", "center-point"])
def test_prompts_of_clean_ground_truth_keep_all_that_is_known_of_it(
    finished: fo.Dataset, fresh: fo.Dataset, tmp_path: Path, source: PromptSource
) -> None:
    path = tmp_path / "clean.json"
    export_clean(finished, "ovsam", path)
    asked = attach_prompts(fresh, read_annotations(path, source), label_field="ovsam")
    written = json.loads(path.read_text())["annotations"]
    labels = {label.id: label for label in prompts(fresh, asked.field)}
    for number, annotation in enumerate(written):
        label = labels[asked.labels[number]]
        assert Provenance().facts(label) == annotation[KEY]
        expected = annotation.get("score")
        assert label.confidence == (
            [expected] if source == "center-point" and expected else expected
        )
        assert label.get_attribute_value("objectness", None) == annotation.get("objectness")
        assert label.label is None

    # Attached again after another decision, the prompts are the same and say so.
    other = next(a for a in written if a[KEY].get("review") == "accepted")
    other[KEY]["reviewed_by"] = "Kim"
    path.write_text(json.dumps({**json.loads(path.read_text()), "annotations": written}))
    again = attach_prompts(fresh, read_annotations(path, source), label_field="ovsam")
    assert again.labels == asked.labels
    assert sum(label.reviewed_by == "Kim" for label in prompts(fresh, asked.field)) == 1


def prompts(dataset: fo.Dataset, field: str) -> list[fo.Label]:
    dataset.reload()
    slot = "keypoints" if field.endswith("points") else "detections"
    found: list[fo.Label] = dataset.exists(field).values(f"{field}.{slot}", unwind=True)
    return found


def test_an_annotation_file_of_others_comes_in_as_it_is(
    dataset: fo.Dataset, tmp_path: Path
) -> None:
    image = {"id": 7, "file_name": "chelsea.png", "width": 451, "height": 300}
    on = {"image_id": 7, "category_id": 3, "bbox": [0, 0, 9, 9], "segmentation": []}
    content = {
        "images": [image, {**image, "id": 8, "file_name": "coffee.png"}],
        "annotations": [on, {**on, "iscrowd": 1}, {**on, "image_id": 8}, {**on, "image_id": 9}],
        "categories": [{"id": 3, "name": "cat"}],
    }
    (tmp_path / "gt.json").write_text(json.dumps(content))
    found = import_labels(dataset, tmp_path / "gt.json", label_field="truth")
    assert found.instances == 1
    assert [problem.partition(": ")[2] for problem in found.problems] == [
        "it is a crowd",
        "the file has no image with id 9",
        "coffee.png is 600 x 400, gt.json says 451 x 300",
    ]
    (label,) = dataset.first()["truth"].detections
    assert (label.label, label.confidence, label.mask) == ("cat", None, None)
    assert not label.has_field("review")


@pytest.mark.parametrize("format", ["coco", "lvis"])
def test_clean_ground_truth_has_it_and_other_importers_read_it(
    decided: fo.Dataset, tmp_path: Path, format: Any
) -> None:
    path = tmp_path / "clean.json"
    export_clean(decided, "ovsam", path, format, only_finished=False)
    told = [annotation[KEY] for annotation in json.loads(path.read_text())["annotations"]]
    assert [each["reviewed_by"] for each in told] == ["Eva", "Jo"]
    if format == "lvis":  # FiftyOne's importer asks for what LVIS has not
        return
    back = fo.Dataset.from_dir(
        dataset_type=fo.types.COCODetectionDataset,
        data_path=str(Path(decided.first().filepath).parent),
        labels_path=str(path),
        label_types="segmentations",
        extra_attrs=True,
        progress=False,
    )
    try:
        (labels,) = [
            back.values(f"{name}.detections", unwind=True)
            for name, kind in back.get_field_schema().items()
            if getattr(kind, "document_type", None) is fo.Detections
        ]
        assert [dict(label[KEY]) for label in labels if label is not None] == told
    finally:
        back.delete()


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ("ovsam", "not an object"),
        ({"model": 7}, "has model 7"),
        ({"model": "x" * 2000}, "up to 1000"),
        ({"review": "perhaps"}, "review 'perhaps'"),
        ({"reviewed_at": "yesterday"}, "ISO 8601"),
        ({"reviewed_at": "9999-12-31T23:59:59-12:00"}, "years 1 to 9999"),
        ({"reviewed_at": "0001-01-01T00:00:00+14:00"}, "years 1 to 9999"),
        ({"reviewed_by": "\ud800x"}, r"reviewed_by '.ud800x': it must be a text"),
    ],
)
def test_what_cannot_be_understood_is_refused(told: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        attributes_of({KEY: told})


def test_an_instance_stays_where_its_provenance_is_refused(
    dataset: fo.Dataset, tmp_path: Path
) -> None:
    sound = {"model": "m", "review": "accepted", "reviewed_by": "Eva"}
    far, broken = {"reviewed_at": "9999-12-31T23:59:59-12:00"}, {"reviewed_by": "\ud800x"}
    row = {"file_name": "chelsea.png", "bbox": [0, 0, 9, 9]}
    rows = [{**row, KEY: told} for told in (["?"], {**sound, **far}, {**sound, **broken}, sound)]
    (tmp_path / "p.json").write_text(json.dumps(rows))
    found = import_labels(dataset, tmp_path / "p.json")
    assert found.instances == 4
    assert [p.endswith("; the instance itself is there") for p in found.problems] == [True] * 3
    assert "not an object" in found.problems[0]
    read = [label.get_attribute_value("reviewed_by", None) for label in labels_of(dataset)]
    assert read == [None, None, None, "Eva"]


def labels_of(dataset: fo.Dataset) -> list[fo.Detection]:
    return list(dataset.first()["predictions"].detections)


def test_times_of_other_tools_and_keys_of_theirs_do_no_harm() -> None:
    told = {"reviewed_at": "2026-01-02T03:04:05Z", "$where": "1", "a.b": "2"}
    assert attributes_of({KEY: told}) == {
        "reviewed_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    }
    # Bytes of an old encoding are read, as they are in names of classes.
    assert attributes_of({KEY: {"reviewed_by": "Zo\udceb"}}) == {"reviewed_by": "Zo\u00eb"}
    assert attributes_of({}) == {}
    assert attributes_of({"objectness": 0.5, "score": 0.5}) == {}


@pytest.mark.parametrize(
    ("scores", "why"),
    [
        ({"objectness": "high"}, "objectness is 'high', not a finite number"),
        ({"margin": float("nan")}, "not a finite number"),
        ({"top_labels": [1]}, "top_labels is .1., not a list"),
        ({"top_labels": ["\ud800"]}, "not a list"),
        ({"top_labels": "cat"}, "not a list"),
        ({"top_scores": [0.5] * 200}, "top_scores is"),
    ],
)
def test_scores_that_are_none_are_refused(scores: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        attributes_of({KEY: {"prompt_type": "box"}, **scores})
