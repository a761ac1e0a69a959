"""`ovsam evaluate` on real photographs, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
import open_clip
import pytest
import torch
from segment_anything import sam_model_registry
from typer.testing import CliRunner

from ovsam_plugin.cli.ovsam import app
from tests.baselines.test_two_backbones import tiny_sam
from tests.cli.calling import told
from tests.evaluation.conftest import Annotate, annotate  # noqa: F401


def run(*arguments: object) -> Any:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, ["evaluate", *map(str, arguments)])


def test_the_papers_table_is_printed_and_everything_written(
    images: list[Path],
    annotate: Annotate,  # noqa: F811
    tmp_path: Path,
) -> None:
    result = run(
        images[0].parent, "--annotations", annotate(), "--split", "coco-48-17", "--device", "cpu",
        "--figures", tmp_path / "out" / "figures.json", "--report", tmp_path / "report",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "IoU_b  IoU_n  Acc_b  Acc_n   Acc  GFLOPs" in result.output
    assert "3 images, 65 names" in result.output
    content = json.loads((tmp_path / "out" / "figures.json").read_text())
    (ovsam,) = content["methods"]
    assert ovsam["splits"]["all"]["instances"] == 6
    assert 0.2 < ovsam["splits"]["all"]["iou"] < 1
    assert ovsam["parameters"] > 1e6
    asked = content["asked"]
    assert (asked["preset"], asked["split"]) == ("ovsam-lite", "coco-48-17")
    assert len(asked["weights (sha256)"]) == 64
    assert (tmp_path / "report" / "report.html").stat().st_size > 10_000


def test_scripts_get_all_figures_and_a_file_by_the_option_s_old_name(
    images: list[Path],
    annotate: Annotate,  # noqa: F811
    tmp_path: Path,
) -> None:
    ask = (images[0].parent, "--annotations", annotate(), "--limit", 1, "--device", "cpu")
    out = tmp_path / "figures.json"
    figures = told("evaluate", *ask, "--figures", out)
    assert figures["methods"][0]["splits"]["all"]["instances"] == 2
    assert json.loads(out.read_text()) == figures
    for old in (["--json", tmp_path / "old.json"], [f"--json={tmp_path / 'older.json'}"]):
        written = CliRunner().invoke(app, ["evaluate", *map(str, [*ask, *old])])
        assert written.exit_code == 0, written.output
        assert "--json FILE is now --figures FILE" in written.stderr
        assert "methods: ovsam" in written.stdout
    for name in ("old.json", "older.json"):
        again = json.loads((tmp_path / name).read_text())
        assert again["methods"][0]["splits"] == figures["methods"][0]["splits"]


def test_the_published_evaluation_stands_beside_it_and_no_database_is_asked(
    images: list[Path],
    annotate: Annotate,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ovsam_plugin.dataset.database.require_database", lambda: 1 / 0)
    out = tmp_path / "o.json"
    result = run(
        images[0].parent, "--annotations", annotate(), "--protocol", "center-point", "--faithful",
        "--limit", 1, "--device", "cpu", "--figures", out,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    methods = json.loads(out.read_text())["methods"]
    assert [method["name"] for method in methods] == ["ovsam", "ovsam (faithful)"]
    assert [method["splits"]["all"]["instances"] for method in methods] == [2, 2]


def test_a_detectors_boxes_keep_its_own_names_beside_ours(
    images: list[Path],
    annotate: Annotate,  # noqa: F811
    tmp_path: Path,
) -> None:
    rows = [{"image_id": 1, "category_id": 17, "bbox": [60, 40, 300, 220], "score": 0.9}]
    (tmp_path / "dets.json").write_text(json.dumps(rows))
    result = run(
        images[0].parent, "--annotations", annotate(), "--protocol", "detector", "--device", "cpu",
        "--detections", tmp_path / "dets.json", "--limit", 1,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "ovsam, detector's names" in result.output


def test_labels_of_a_dataset_are_evaluated_and_kept_for_the_app(dataset: fo.Dataset) -> None:
    dataset.compute_metadata(num_workers=1, progress=False)
    sample = dataset.first()
    mask = np.ones((10, 20), dtype=bool)
    size = sample.metadata.width, sample.metadata.height
    box = [10 / size[0], 10 / size[1], 20 / size[0], 10 / size[1]]
    truth = fo.Detection(label="cat", bounding_box=box, mask=mask)
    answer = fo.Detection(label="cat", bounding_box=box, mask=mask, prompt_id=truth.id)
    answer.confidence = 0.8
    sample["truth"] = fo.Detections(detections=[truth])
    sample["said"] = fo.Detections(detections=[answer])
    sample.save()
    result = run(dataset.name, "--field", "said", "--gt-field", "truth")
    assert result.exit_code == 0, result.output
    assert "said    100.0  100.0" in result.output
    dataset.reload()
    assert dataset.list_evaluations() == ["said_eval"]
    sample.reload()
    worse = sample["said"].copy()
    worse.detections[0].label = "cup"
    sample["worse"] = worse
    sample.save()
    more = ("--compare", "worse", "--slice", "metadata.mime_type", "--vocabulary", "cat,cup")
    result = run(dataset.name, "--field", "said", "--gt-field", "truth", *more)
    assert result.exit_code == 0, result.output
    assert "worse beside said" in result.output
    assert "said, image/png" in result.output
    sample["truth"].detections.append(fo.Detection(label="kitty", bounding_box=box, mask=mask))
    sample.save()
    one = ("--vocabulary", "kitty|cat,")
    result = run(dataset.name, "--field", "said", "--gt-field", "truth", *one)
    assert "note: 'cat', 'kitty' are one class" in result.output
    wrong = run(dataset.name, "--field", "said", "--gt-field", "truth", "--slice", "wether")
    assert wrong.exit_code == 2
    assert "no field 'wether' to slice by" in wrong.output


def test_all_methods_are_those_with_an_answer_of_their_own(
    images: list[Path],
    annotate: Annotate,  # noqa: F811
    tmp_path: Path,
) -> None:
    result = run(
        images[0].parent, "--annotations", annotate(), "--baselines", "all", "--limit", 1,
        "--device", "cpu", "--protocol", "everything",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "methods: image-crop, feature-crop, ovsam\n" in result.output
    assert "surplus" in result.output


def test_sam_and_clip_from_two_checkpoints_stand_beside_the_preset(
    images: list[Path],
    annotate: Annotate,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The command's whole way with checkpoints of the real layout, small."""
    monkeypatch.setitem(sam_model_registry, "vit_b", tiny_sam)
    torch.save(tiny_sam().state_dict(), tmp_path / "sam.pth")
    vision = {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16}
    words = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 1}
    config = {"embed_dim": 48, "vision_cfg": vision, "text_cfg": words}
    (tmp_path / "RN-small.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / "RN-small.json")
    model = open_clip.create_model("RN-small", pretrained=None)
    torch.save(model.state_dict(), tmp_path / "clip.pt")
    monkeypatch.setenv("OVSAM_CACHE_DIR", str(tmp_path / "cache"))
    out = tmp_path / "o.json"
    result = run(
        images[0].parent, "--annotations", annotate(), "--sam", tmp_path / "sam.pth", "--clip",
        f"RN-small/{tmp_path / 'clip.pt'}", "--limit", 1, "--device", "cpu", "--figures", out,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    ovsam, *crops, alone = json.loads(out.read_text())["methods"]
    assert [each["name"] for each in crops] == ["sam+image-crop", "sam+feature-crop"]
    assert (ovsam["name"], alone["name"], alone["named"]) == ("ovsam", "sam", False)
    assert {each["splits"]["all"]["iou"] for each in crops} == {alone["splits"]["all"]["iou"]}
    assert alone["splits"]["all"]["iou"] != ovsam["splits"]["all"]["iou"]


def test_crowds_are_left_out_or_taken_for_instances(
    images: list[Path],
    annotate: Annotate,  # noqa: F811
    tmp_path: Path,
) -> None:
    def all_crowds(content: dict[str, Any]) -> None:
        for record in content["annotations"]:
            record["iscrowd"] = "1"

    ask = (images[0].parent, "--annotations", annotate(all_crowds), "--limit", 1, "--device", "cpu")
    without = run(*ask)
    assert without.exit_code == 1
    assert "nothing was evaluated" in without.output
    assert "--crowds" in without.output
    out = tmp_path / "figures.json"
    assert run(*ask, "--crowds", "--figures", out).exit_code == 0
    assert json.loads(out.read_text())["methods"][0]["splits"]["all"]["instances"] == 2
