"""Annotated instances as a baseline sees them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ovsam_plugin.training.examples import CocoPhotographs

from .test_calibrating import annotate


def test_crowds_and_boxes_off_the_photograph_are_left_out(
    images: list[Path], tmp_path: Path
) -> None:
    path = annotate(images, tmp_path / "gt.json")
    photographs = CocoPhotographs(images[0].parent, path)
    assert len(photographs) == 2
    assert [(p.image.shape[:2], p.names) for p in photographs] == [
        ((300, 451), ("cat",)),
        ((400, 600), ("cup",)),
    ]
    only = CocoPhotographs(images[0].parent, path, keep=lambda name: name == images[1].name)
    assert len(only) == 1
    path.write_text('{"images": []}')
    with pytest.raises(ValueError, match="a COCO or LVIS annotation file has"):
        CocoPhotographs(images[0].parent, path)


def test_photographs_are_found_as_tools_name_them_and_one_costs_no_other(
    images: list[Path], tmp_path: Path
) -> None:
    path = annotate(images, tmp_path / "gt.json")
    content = json.loads(path.read_text())
    content["images"][0]["file_name"] = f"D:\\pictures\\{images[0].stem.upper()}.JPG"
    content["images"].append({"id": 3, "file_name": "gone.jpg"})
    content["images"].append({"id": 4, "file_name": images[2].name, "width": 7, "height": 7})
    for number, image in ((8, 3), (9, 4)):
        content["annotations"].append(
            {"id": number, "image_id": image, "category_id": 1, "bbox": [0, 0, 5, 5]}
        )
    path.write_text(json.dumps(content))
    photographs = CocoPhotographs(str(images[0].parent), str(path))
    assert [(p.image.shape[:2], p.names) for p in photographs] == [
        ((300, 451), ("cat",)),
        ((400, 600), ("cup",)),
    ]
    assert any("gone.jpg" in problem for problem in photographs.problems)
    assert any("says otherwise" in problem for problem in photographs.problems)
