from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ovsam_plugin.checkpoint import load_network
from ovsam_plugin.presets import get_preset
from ovsam_plugin.training.data import Crop
from ovsam_plugin.training.lite import Settings, click, imagenet_weights, make_prompts, train

SETTINGS = Settings(steps=2, batch=2, crop=64, max_instances=2, threads=1, warmup=1)


def small_set(folder: Path) -> Path:
    """Four photographs in the layout that training reads, each with one instance."""
    images = folder / "coco-mini" / "images"
    images.mkdir(parents=True)
    records = []
    for i in range(4):
        noise = np.random.default_rng(i).integers(0, 256, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(images / f"photo-{i}.png")
        records.append({"id": i, "file_name": f"photo-{i}.png", "height": 48, "width": 64})
    instance = {"category_id": 1, "bbox": [8, 8, 32, 24], "area": 768, "iscrowd": 0}
    polygon = [[8, 8, 40, 8, 40, 32, 8, 32]]
    annotations = [{"id": i, "image_id": i, "segmentation": polygon, **instance} for i in range(4)]
    content = {
        "images": records,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "cat"}],
    }
    (folder / "coco-mini" / "train.json").write_text(json.dumps(content))
    return folder


def test_a_short_run_writes_weights_that_load_and_what_made_them(tmp_path: Path) -> None:
    train(small_set(tmp_path), imagenet_weights(), tmp_path / "run", SETTINGS)
    network, _ = load_network(get_preset("ovsam-lite"), tmp_path / "run/ovsam-lite.safetensors")
    frozen = torch.load(imagenet_weights(), weights_only=True)["_conv_stem.weight"]
    torch.testing.assert_close(network.backbone.conv_stem.weight, frozen.half().float())
    assert network.backbone.class_embeddings.norm(dim=1).sub(1).abs().max() < 1e-2
    record = json.loads((tmp_path / "run/run.json").read_text())
    assert record["settings"]["seed"] == 0
    assert len(record["annotations_sha256"]) == 64


def test_a_finished_run_called_again_changes_nothing(tmp_path: Path) -> None:
    data = small_set(tmp_path)
    train(data, imagenet_weights(), tmp_path / "run", SETTINGS)
    weights = tmp_path / "run/ovsam-lite.safetensors"
    before = weights.read_bytes()
    train(data, imagenet_weights(), tmp_path / "run", SETTINGS)
    assert weights.read_bytes() == before


def test_the_first_click_lies_on_the_object_and_labels_tell_on_from_off() -> None:
    mask = np.zeros((64, 64), dtype=bool)
    mask[20:40, 10:30] = True
    for seed in range(10):
        xy, labels = click(mask, 3, torch.Generator().manual_seed(seed))
        assert labels[0] == 1
        on = [bool(mask[int(y), int(x)]) for x, y in xy.tolist()]
        assert on == [label == 1 for label in labels.tolist()]


def test_prompts_of_every_kind_fit_the_crop() -> None:
    masks = torch.zeros(2, 64, 64, dtype=torch.bool)
    masks[0, 5:30, 5:40] = masks[1, 40:60, 30:50] = True
    boxes = torch.tensor([[5.0, 5, 40, 30], [30, 40, 50, 60]])
    crop = Crop(torch.zeros(3, 64, 64), masks, boxes, torch.zeros(2, dtype=torch.int64))
    generator = torch.Generator().manual_seed(0)
    both = torch.tensor([0, 1])
    boxed = make_prompts(crop, both, "box", generator)
    assert boxed.boxes is not None
    assert boxed.boxes.min() >= 0
    assert boxed.boxes.max() <= 64
    drawn = make_prompts(crop, both, "mask", generator)
    assert drawn.masks is not None
    assert drawn.masks.shape == (2, 1, 16, 16)
    assert drawn.masks.min() >= -10
    assert drawn.masks.max() <= 10
    clicked = make_prompts(crop, both, "point", generator)
    assert clicked.points is not None
    assert len(clicked.points) == 2
