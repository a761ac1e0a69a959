"""`ovsam calibrate`."""

from __future__ import annotations

import json
from pathlib import Path

from ovsam_plugin.prediction.labeler import load_labeler
from tests.cli.calling import run, told
from tests.training.test_calibrating import WORDS, annotate

SETTINGS = ("--vocabulary", WORDS, "--device", "cpu")


def test_what_it_writes_is_what_a_labeler_takes(images: list[Path], tmp_path: Path) -> None:
    out, annotations = tmp_path / "calibration.json", annotate(images, tmp_path / "gt.json")
    call = ("calibrate", images[0].parent, "--annotations", annotations, "--out", out, *SETTINGS)
    made = told(*call)
    assert (made["instances"], made["file"]) == (2, str(out))
    assert made["temperature"] == json.loads(out.read_text())["temperature"]
    labeler = load_labeler(vocabulary=WORDS, device="cpu", calibration=out)
    assert labeler.calibration.temperature == made["temperature"]


def test_what_is_not_there_or_cannot_be_learned_from_is_said(
    images: list[Path], tmp_path: Path
) -> None:
    path = annotate(images, tmp_path / "gt.json")
    call = ("--annotations", path, "--out", tmp_path / "c.json", *SETTINGS)
    assert "there is no folder" in run("calibrate", tmp_path / "none", *call, code=2)
    folder = images[0].parent
    missing = ("--annotations", tmp_path / "none.json")
    assert "there is no annotation file" in run("calibrate", folder, *missing, code=2)
    content = json.loads(path.read_text())
    content["categories"] = [{"id": 1, "name": "sphinx"}, {"id": 2, "name": "griffin"}]
    path.write_text(json.dumps(content))
    run("calibrate", folder, *call, code=1)
    assert not (tmp_path / "c.json").exists()
