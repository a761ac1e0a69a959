from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import ablation
from ovsam_plugin.prediction.predictor import load_predictor


@pytest.fixture
def truth(images: list[Path], tmp_path: Path) -> Path:
    """The cat and the cup, each outlined by a rectangle."""
    boxes = ((110, 20, 410, 290), (150, 100, 450, 330))
    content = {
        "images": [
            {"id": 1, "file_name": images[0].name, "width": 451, "height": 300},
            {"id": 2, "file_name": images[1].name, "width": 600, "height": 400},
        ],
        "categories": [{"id": 17, "name": "cat"}, {"id": 47, "name": "cup"}],
        "annotations": [
            {
                "id": i,
                "image_id": i,
                "category_id": category,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": (x2 - x1) * (y2 - y1),
                "iscrowd": 0,
                "segmentation": [[x1, y1, x2, y1, x2, y2, x1, y2]],
            }
            for i, ((x1, y1, x2, y2), category) in enumerate(zip(boxes, (17, 47)), start=1)
        ],
    }
    path = tmp_path / "gt.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["head"], ["head alone", "encoder alone", "both", "novel top-5"]),
        (
            ["vocabulary", "--vocabulary", "coco", "cat, cup"],
            ["coco (80)", "cat, cup (2)", "1.000"],
        ),
        (["neck"], ["all", "1/4 alone", "1/32 alone"]),
    ],
)
def test_an_ablation_is_a_table(
    arguments: list[str],
    expected: list[str],
    images: list[Path],
    truth: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = [str(images[0].parent), str(truth), "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", ["ablation.py", arguments[0], *files, *arguments[1:]])
    ablation.main()
    table = " ".join(capsys.readouterr().out.split())
    assert all(words in table for words in expected)


def test_a_single_stage_is_all_that_its_neck_reads() -> None:
    whole = load_predictor("ovsam-lite", device="cpu")
    alone = ablation.single_stage(whole, 2)
    generator = torch.Generator().manual_seed(0)
    channels = whole.network.backbone.channels
    stages = [
        torch.randn(1, c, 128 // s, 128 // s, generator=generator)
        for c, s in zip(channels, ablation.STRIDES)
    ]
    with torch.inference_mode():
        neck = alone.network.neck
        expected = neck(stages)
        others = [x if i == 2 else torch.zeros_like(x) for i, x in enumerate(stages)]
        assert torch.equal(neck(others), expected)
        assert not torch.allclose(neck([*stages[:2], stages[2] * 0, stages[3]]), expected)
        assert not torch.allclose(whole.network.neck(stages), expected)
