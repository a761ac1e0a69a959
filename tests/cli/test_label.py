"""`ovsam label` as a user runs it, on real photographs with real weights."""

import json

import fiftyone as fo
import numpy as np
import pytest
import typer
from PIL import Image
from pycocotools import mask as coco_mask
from typer.testing import CliRunner

from ovsam_plugin.cli.ovsam import app
from ovsam_plugin.curation.decisions import accept
from ovsam_plugin.dataset.importing import import_images
from ovsam_plugin.dataset.prompt_kinds import PROMPT_KINDS
from tests.cli.calling import told

ROW = {
    "image_id",
    "file_name",
    "category_id",
    "category_name",
    "segmentation",
    "bbox",
    "score",
    "objectness",
    "confidence",
    "similarity",
    "head_score",
    "clip_score",
    "margin",
    "top_labels",
    "top_scores",
    "stability",
    "prompt_type",
    "prompt_id",
    "provenance",
}
CAT, CUP = "chelsea.png", "coffee.png"


@pytest.fixture
def ground_truth(tmp_path):
    """Three good annotations, bad ones among them, and an image that is not there."""
    path = tmp_path / "gt.json"
    content = {
        "images": [
            {"id": 70, "file_name": CUP, "width": 600, "height": 400},
            {"id": 60, "file_name": CAT, "width": 451, "height": 300},
            {"id": 50, "file_name": "gone.png", "width": 32, "height": 16},
        ],
        "annotations": [
            annotation(5, 60, [20, 5, 400, 290]),
            annotation(4, 70, [150, 60, 300, 280]),
            {"id": 3, "image_id": 60, "bbox": [9, 9, 0, 0], "segmentation": []},
            annotation(2, 50, [1, 1, 9, 9]),
            annotation(9, 60, [10, 10, 50, 50], iscrowd=1),
            annotation(1, 60, [200, 100, 60, 60]),
        ],
        "categories": [{"id": 17, "name": "CAT"}, {"id": 47, "name": "mug", "synonyms": ["cup"]}],
    }
    path.write_text(json.dumps(content))
    return path


def annotation(annotation_id, image_id, bbox, **more):
    x, y, w, h = bbox
    polygon = [x, y, x + w, y, x + w, y + h, x, y + h]
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": 1,
        "bbox": bbox,
        "segmentation": [polygon],
        **more,
    }


def run(*arguments, code=0):
    result = CliRunner().invoke(app, ["label", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.output


@pytest.mark.parametrize(("option", "kind"), [("--boxes", "box"), ("--center-points", "point")])
def test_every_annotation_is_answered_in_the_files_order(
    folder, ground_truth, tmp_path, option, kind
):
    preds = tmp_path / "preds.json"
    ask = (folder, option, ground_truth, "--vocabulary", "cat, cup", "--export", preds)
    output = run(*ask, "--workers", 0)
    rows = json.loads(preds.read_text())
    assert [row["prompt_id"] for row in rows] == [5, 4, 3, 2, 1]
    assert [row["image_id"] for row in rows] == [60, 70, 60, 50, 60]
    assert [row["file_name"] for row in rows] == [CAT, CUP, CAT, "gone.png", CAT]
    assert {row["prompt_type"] for row in rows} == {kind}
    assert rows[2]["error"]
    assert rows[3]["error"] == "there is no image gone.png"
    assert rows[3]["segmentation"]["size"] == [16, 32]
    assert "1 crowd left out" in output
    assert "gone.png" in output

    dataset = import_images(folder)
    stored = {
        (sample.filepath.rsplit("/", 1)[1], tuple(label.mask.shape)): label
        for sample in dataset
        for label in sample["ovsam"].detections
        if label.mask is not None
    }
    answered = [row for row in rows if "error" not in row]
    assert len(answered) == len(stored)
    for row in answered:
        assert set(row) == ROW
        x, y, w, h = map(int, row["bbox"])
        label = stored[row["file_name"], (h, w)]
        decoded = coco_mask.decode(row["segmentation"]).astype(bool)
        np.testing.assert_array_equal(decoded[y : y + h, x : x + w], label.mask)
        assert decoded.sum() == label.mask.sum()
        assert row["score"] == label.confidence
        assert row["category_id"] == {"cat": 17, "cup": 47}[row["category_name"]]

    again = run(*ask, "--workers", 0)
    assert "labelled before" in again
    assert json.loads(preds.read_text()) == rows


def test_weights_that_are_not_there_are_named(folder, tmp_path):
    output = run(folder, "--weights", tmp_path / "own.safetensors", code=1)
    assert f"no weights at {tmp_path / 'own.safetensors'}" in output


def test_no_class_and_no_mask_of_the_ground_truth_reaches_the_dataset(folder, ground_truth):
    ask = ("--boxes", ground_truth, "--vocabulary", "cat, cup", "--workers", 0)
    summary = told("label", folder, *ask)
    assert summary["dataset"] == import_images(folder).name
    assert (summary["field"], summary["samples"]) == ("ovsam", 3)
    prompts = import_images(folder).values("ovsam_boxes.detections", unwind=True)
    assert len(prompts) == 5
    assert {prompt.label for prompt in prompts} == {None}
    assert {prompt.mask for prompt in prompts} == {None}


def test_a_field_of_a_dataset_asks(dataset, tmp_path):
    boxes = [fo.Detection(bounding_box=[0.1, 0.1, 0.8, 0.8]) for _ in range(2)]
    sample = dataset.first()
    sample["asks"] = fo.Detections(detections=boxes)
    sample.save()
    preds = tmp_path / "preds.json"
    run(dataset.name, "--box-field", "asks", "--vocabulary", "cat,", "--export", preds)
    rows = json.loads(preds.read_text())
    assert [row["prompt_id"] for row in rows] == [box.id for box in boxes]
    assert {row["image_id"] for row in rows} == {1}


def test_masks_of_a_field_ask_and_are_named_or_drawn_anew(dataset, tmp_path):
    square = fo.Polyline(points=[[(0.2, 0.2), (0.7, 0.2), (0.7, 0.8), (0.2, 0.8)]], closed=True)
    sample = dataset.first()
    sample["drawn"] = fo.Polylines(polylines=[square])
    sample.save()
    preds = tmp_path / "preds.json"
    asks = ("--mask-field", "drawn", "--vocabulary", "cat,", "--export", preds)
    run(dataset.name, *asks)
    (row,) = json.loads(preds.read_text())
    assert (row["prompt_id"], row["prompt_type"]) == (square.id, "mask")
    run(dataset.name, *asks, "--refine-masks", "--field", "anew")
    (anew,) = json.loads(preds.read_text())
    assert anew["segmentation"] != row["segmentation"]


def test_every_kind_of_prompt_has_its_option():
    options = {param.name for param in typer.main.get_command(app).commands["label"].params}
    assert {kind.keyword for kind in PROMPT_KINDS.values()} <= options


def test_everything_is_labelled_drawn_and_exported(folder, tmp_path):
    (folder / CUP).unlink()
    sheet, preds = tmp_path / "sheet.png", tmp_path / "preds.json"
    output = run(
        folder, "--everything", "--vocabulary", "coco", "--contact-sheet", sheet, "--export", preds
    )
    dataset = import_images(folder)
    labels = dataset.first()["ovsam"].detections
    assert labels
    rows = json.loads(preds.read_text())
    scores = [label.objectness * label.confidence for label in labels]
    assert [row["score"] for row in rows] == pytest.approx(scores)
    assert [row["objectness"] for row in rows] == [label.objectness for label in labels]
    assert [row["confidence"] for row in rows] == [label.confidence for label in labels]
    assert {row["prompt_type"] for row in rows} == {"everything"}
    assert Image.open(sheet).width > 600
    assert f"ovsam app open {dataset.name}" in output


def test_a_broken_image_costs_no_other(folder, ground_truth):
    (folder / CUP).write_bytes((folder / CUP).read_bytes()[:2000])
    output = run(folder, "--boxes", ground_truth, "--vocabulary", "cat,", "--workers", 0)
    assert f"{CUP}: " in output
    assert "damaged or cut short" in output
    assert "names: cat 2\n" in output
    dataset = import_images(folder)
    assert len(dataset.match(fo.ViewField("ovsam.detections").length() > 0)) == 1


def test_when_nothing_can_be_labelled_the_command_fails(folder):
    for image in folder.iterdir():
        image.write_bytes(b"")
    output = run(folder, "--vocabulary", "cat,", "--workers", 0, code=1)
    assert "is empty (0 bytes)" in output
    assert "nothing could be labelled" in output


def test_a_preset_without_weights_says_so(folder):
    output = run(folder, "--preset", "ovsam-rn50x16-coco", "--vocabulary", "cat,", code=1)
    assert "their licence has not been accepted" in output
    assert "ovsam-lite" in output


def test_labels_of_another_run_are_not_overwritten_unasked(folder, ground_truth):
    boxes = (folder, "--boxes", ground_truth, "--workers", 0)
    run(*boxes, "--vocabulary", "cat,")
    assert "--overwrite" in run(*boxes, "--vocabulary", "dog,", code=2)
    run(*boxes, "--vocabulary", "dog,", "--overwrite")
    assert import_images(folder).distinct("ovsam.detections.label") == ["dog"]


def test_a_command_that_is_refused_leaves_the_prompts_as_they_were(folder, ground_truth, tmp_path):
    boxes, names = (folder, "--workers", 0, "--boxes"), ("--vocabulary", "cat,")
    run(*boxes, ground_truth, *names)
    dataset = import_images(folder)
    accept(dataset, "ovsam", dataset.values("ovsam.detections.id", unwind=True)[0])
    before = dataset.values(["ovsam_boxes.detections.id", "ovsam_boxes.detections.bounding_box"])
    content = json.loads(ground_truth.read_text())
    content["annotations"][1]["bbox"] = [300, 200, 150, 150]
    (tmp_path / "moved.json").write_text(json.dumps(content))
    refused = run(*boxes, tmp_path / "moved.json", *names, "--overwrite", code=2)
    assert "1 that a person decided about" in refused
    dataset.reload()
    there = dataset.values(["ovsam_boxes.detections.id", "ovsam_boxes.detections.bounding_box"])
    assert there == before
    assert "labelled before" in run(*boxes, ground_truth, *names)


def test_answers_to_prompts_that_moved_are_kept_until_told_otherwise(
    folder, ground_truth, tmp_path
):
    ask = ("--vocabulary", "cat,", "--workers", 0, "--export", tmp_path / "preds.json")
    run(folder, "--boxes", ground_truth, *ask)
    before = json.loads((tmp_path / "preds.json").read_text())
    ids = import_images(folder).values("ovsam.detections.id")
    content = json.loads(ground_truth.read_text())
    content["annotations"][1]["bbox"] = [300, 200, 150, 150]
    ground_truth.write_text(json.dumps(content))
    assert "--overwrite" in run(folder, "--boxes", ground_truth, *ask, code=2)
    assert import_images(folder).values("ovsam.detections.id") == ids
    run(folder, "--boxes", ground_truth, *ask, "--overwrite")
    after = json.loads((tmp_path / "preds.json").read_text())
    assert after[0]["segmentation"] == before[0]["segmentation"]
    assert "error" not in after[1] or after[1]["error"] == "the mask is empty"
    assert after[1]["segmentation"] != before[1]["segmentation"]


def lonely(tmp_path, **change):
    """A file of one annotation on the cat, changed."""
    path = tmp_path / "one.json"
    content = {
        "images": [{"id": 1, "file_name": CAT, "width": 451, "height": 300}],
        "annotations": [annotation(7, 1, [20, 5, 400, 290])],
        "categories": [{"id": 1, "name": "cat"}],
    }
    for part, values in change.items():
        content[part][0].update(values)
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"annotations": {"iscrowd": 1}}, "--crowds treats crowds as instances"),
        ({"annotations": {"iscrowd": "1"}}, "--crowds treats crowds as instances"),
        ({"annotations": {"image_id": 9}}, "no image with id 9"),
        ({"annotations": {"bbox": [1, 2]}}, "not [x, y, width, height]"),
        ({"images": {"width": 452}}, "says 452 x 300"),
        ({"annotations": {"bbox": [9, 9, 0, 0]}}, "empty or inverted"),
        ({"images": {"file_name": "gone.png"}}, "there is no file"),
    ],
)
def test_when_nothing_was_labelled_the_command_fails_and_says_why(folder, tmp_path, change, reason):
    preds = tmp_path / "preds.json"
    ask = (folder, "--boxes", lonely(tmp_path, **change), "--vocabulary", "cat, cup")
    output = run(*ask, "--workers", 0, "--export", preds, code=1)
    assert reason in output
    assert "nothing" in output
    rows = json.loads(preds.read_text())
    assert len(rows) == (0 if "crowds" in reason else 1)
    assert all(row["error"] for row in rows)
    assert reason in run(*ask, "--workers", 0, code=1) or "gone" in str(change)


@pytest.mark.parametrize(
    ("change", "options", "ids"),
    [
        ({"annotations": {"iscrowd": 1}}, ["--crowds"], (1, 7, 1)),
        ({"annotations": {"iscrowd": "0"}}, [], (1, 7, 1)),
        ({"images": {"id": "1"}}, [], (1, 7, 1)),
        ({"annotations": {"image_id": "1", "category_id": "1"}}, [], ("1", 7, "1")),
        ({"images": {"file_name": f"C:\\im\\{CAT}"}, "categories": {"id": 1.0}}, [], (1, 7, 1)),
        ({"annotations": {"category_id": 0}, "categories": {"id": 0}}, [], (1, 7, 0)),
    ],
)
def test_what_tools_write_is_labelled_and_exported_with_the_ids_in_use(
    folder, tmp_path, change, options, ids
):
    preds = tmp_path / "preds.json"
    ask = (folder, "--boxes", lonely(tmp_path, **change), "--vocabulary", "cat,")
    run(*ask, "--workers", 0, "--export", preds, *options)
    (row,) = json.loads(preds.read_text())
    assert "error" not in row
    assert (row["image_id"], row["prompt_id"], row["category_id"]) == ids
