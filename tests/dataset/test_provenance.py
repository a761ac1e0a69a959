"""What files say of where a label is from, out and back in."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import fiftyone as fo
import pytest

from ovsam_plugin import decisions, export_clean
from ovsam_plugin.dataset.export import field_rows, write_rows
from ovsam_plugin.dataset.predictions import attach_predictions
from ovsam_plugin.dataset.provenance import KEY, attributes_of
from ovsam_plugin.dataset.runs import recorded


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
    write_rows(field_rows(dataset, field, None), path)
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


def test_what_came_back_goes_out_again_unchanged(decided: fo.Dataset, tmp_path: Path) -> None:
    rows = exported(decided, "ovsam", tmp_path / "p.json")
    other = fo.Dataset()
    try:
        other.add_images(decided.values("filepath"))
        found = attach_predictions(other, tmp_path / "p.json", field="back")
        assert found.problems == ()
        assert other.distinct("back.detections.reviewed_by") == ["Eva", "Jo"]
        again = exported(other, "back", tmp_path / "again.json")
        for key in (KEY, "segmentation", "bbox", "category_name", "file_name"):
            assert [row[key] for row in again] == [row[key] for row in rows]
        # Nothing that was read passes for the work of a run of this dataset.
        assert other.get_field("back.detections.prompt_type") is None
    finally:
        other.delete()


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
    ],
)
def test_what_cannot_be_understood_is_refused(told: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        attributes_of({KEY: told})


def test_an_instance_stays_where_its_provenance_is_refused(
    dataset: fo.Dataset, tmp_path: Path
) -> None:
    row = {"file_name": "chelsea.png", "bbox": [0, 0, 9, 9], KEY: ["?"]}
    (tmp_path / "p.json").write_text(json.dumps([row]))
    found = attach_predictions(dataset, tmp_path / "p.json")
    assert found.instances == 1
    assert "not an object; the instance itself is there" in found.problems[0]


def test_times_of_other_tools_and_keys_of_theirs_do_no_harm() -> None:
    told = {"reviewed_at": "2026-01-02T03:04:05Z", "$where": "1", "a.b": "2"}
    assert attributes_of({KEY: told}) == {
        "reviewed_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    }
    assert attributes_of({}) == {}
