"""`ovsam name`."""

from __future__ import annotations

import json
from pathlib import Path

import fiftyone as fo
import numpy as np
import pytest
from typer.testing import CliRunner

from ovsam_plugin.cli.ovsam import app
from tests.cli.calling import told
from tests.namers.open_clip_model import write_model

SMALL = ["--device", "cpu", "--workers", "0", "--vocabulary", "cat, cup, person"]


@pytest.fixture
def drawn(dataset: fo.Dataset) -> fo.Dataset:
    for sample in dataset:
        box = fo.Detection(bounding_box=[0.2, 0.2, 0.5, 0.5], mask=np.ones((9, 9), bool))
        sample["drawn"] = fo.Detections(detections=[box])
        sample.save()
    return dataset


def test_a_field_is_named_by_the_namer_that_is_asked_for(drawn: fo.Dataset, tmp_path: Path) -> None:
    namer = write_model(tmp_path)
    call = ["name", drawn.name, "--field", "drawn", "--namer", namer, "--cuts", "0.1:0", *SMALL]
    labels = told(*call)["labels"]
    assert (labels["field"], labels["instances"], labels["labelled"]) == ("drawn_named", 3, 3)
    drawn.reload()
    config = drawn.get_run_info("drawn_named").config
    assert (config.namer, config.cuts) == (namer, "0.1:0")


def test_a_results_file_of_a_folder_is_named(images: list[Path], tmp_path: Path) -> None:
    rows = [
        {"file_name": "chelsea.png", "bbox": [10, 10, 200, 200], "score": 0.5},
        {"file_name": "chelsea.png", "bbox": [10, 10, -5, 200]},
    ]
    (tmp_path / "preds.json").write_text(json.dumps(rows))
    call = ["name", str(images[0].parent), "--predictions", str(tmp_path / "preds.json"), *SMALL]
    done = CliRunner().invoke(app, call)
    assert done.exit_code == 0, done.output
    assert "1 instances of preds.json on 1 photographs" in done.output
    assert "result 1 of preds.json" in done.output
    assert "1 instances named on 1 images in field 'predictions_named'" in done.output


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (["--field", "nothing"], "there is no field 'nothing'"),
        (["--field", "drawn", "--namer", "clip"], "unknown namer 'clip'"),
        (["--field", "drawn", "--namer", "openclip:ViT-B-32/nothing"], "has no weights 'nothing'"),
        (["--field", "drawn", "--cuts", "0.1:1"], "cuts are for a namer"),
        (["--predictions", "nowhere.json"], "there is no results or annotation file nowhere.json"),
    ],
)
def test_what_cannot_work_is_an_error_of_usage(
    drawn: fo.Dataset, more: list[str], why: str
) -> None:
    done = CliRunner().invoke(app, ["name", drawn.name, *more, *SMALL])
    assert done.exit_code == 2
    assert why in done.output
