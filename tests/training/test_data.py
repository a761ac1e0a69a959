from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from ovsam_plugin.training.data import UNKNOWN_CLASS, CocoCrops, is_validation, random_crop


def square(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A photograph that is white exactly where its one mask is."""
    mask = np.zeros((height, width), dtype=np.uint8)
    mask[height // 4 : height // 2, width // 4 : width // 2] = 1
    return np.repeat(mask[:, :, None] * 255, 3, axis=2).astype(np.uint8), mask


def test_masks_move_with_the_photograph_at_every_zoom_and_flip() -> None:
    picture, mask = square(200, 300)
    for seed in range(20):
        crop = random_crop(picture, [mask], [7], 128, 5, np.random.default_rng(seed))
        assert crop.pixels.shape == (3, 128, 128)
        if not len(crop.masks):
            continue
        assert crop.classes.tolist() == [7]
        bright = crop.pixels.float().mean(0) > 128
        assert (bright & crop.masks[0]).sum() > 0.9 * (bright | crop.masks[0]).sum()
        x1, y1, x2, y2 = crop.boxes[0].int().tolist()
        assert crop.masks[0].sum() == crop.masks[0, y1:y2, x1:x2].sum()


def test_most_crops_hold_an_instance() -> None:
    picture, mask = square(200, 300)
    held = [
        len(random_crop(picture, [mask], [0], 128, 5, np.random.default_rng(s)).masks)
        for s in range(20)
    ]
    assert sum(held) >= 18


def test_a_crop_keeps_no_more_instances_than_asked() -> None:
    picture, mask = square(200, 300)
    crop = random_crop(picture, [mask] * 9, list(range(9)), 128, 4, np.random.default_rng(0))
    assert len(crop.masks) == len(crop.boxes) == len(crop.classes) == 4


def test_a_photograph_without_instances_gives_a_crop_without_any() -> None:
    picture, _ = square(50, 80)
    crop = random_crop(picture, [], [], 64, 4, np.random.default_rng(0))
    assert crop.masks.shape == (0, 64, 64)
    assert crop.boxes.shape == (0, 4)


def test_the_share_kept_back_is_about_what_is_asked_and_never_changes() -> None:
    names = [f"{i:012d}.jpg" for i in range(4000)]
    kept = [is_validation(name) for name in names]
    assert 0.13 < np.mean(kept) < 0.17
    assert kept == [is_validation(name) for name in names]


def test_a_coco_file_is_read_without_what_is_kept_back(tmp_path: Path) -> None:
    names = [f"{i}.jpg" for i in range(30)]
    for name in names:
        Image.fromarray(square(40, 60)[0]).save(tmp_path / name)
    box = [15, 10, 15, 10]
    content = {
        "images": [
            {"id": i, "file_name": n, "height": 40, "width": 60} for i, n in enumerate(names)
        ],
        "annotations": [
            {
                "id": i,
                "image_id": i,
                "category_id": 9,
                "bbox": box,
                "area": 150,
                "iscrowd": int(i % 2),
                "segmentation": [[15, 10, 30, 10, 30, 20, 15, 20]]
                if i % 2 == 0
                else {"size": [40, 60], "counts": [0, 2400]},
            }
            for i in range(len(names))
        ],
        "categories": [{"id": 4, "name": "lamp"}, {"id": 9, "name": "cat"}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(content))
    crops = CocoCrops(tmp_path, tmp_path / "coco.json", crop=64, max_instances=3, seed=0)
    trained_on = [n for n in names if not is_validation(n)]
    assert len(crops) == len(trained_on) < len(names)
    found = [crops[i] for i in range(len(crops))]
    assert {c for crop in found for c in crop.classes.tolist()} == {1}
    crowded = [c for c, n in zip(found, trained_on) if int(n[:-4]) % 2]
    assert crowded
    assert all(len(crop.masks) == 0 for crop in crowded)
    again = crops[0]
    assert (again.pixels == found[0].pixels).all()
    assert UNKNOWN_CLASS not in found[0].classes
