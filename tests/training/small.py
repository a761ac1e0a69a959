"""A data set and a network small enough to train in a test."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ovsam_plugin.network.description import NetworkDescription
from ovsam_plugin.network.ovsam import OVSAM
from ovsam_plugin.presets import Preset, get_preset
from ovsam_plugin.training.crops import Crop

HEIGHT, WIDTH = 48, 64
# x1, y1, x2, y2 of each photograph's instances, one a category.
RECTANGLES = ((8, 8, 40, 32), (30, 20, 60, 44))

TINY = NetworkDescription(
    encoder="timm:tf_efficientnet_lite0",
    embed_dim=16,
    image_size=64,
    neck_dim=16,
    neck_depth=2,
    neck_heads=2,
    neck_window=3,
    neck_global=(1,),
    channels=16,
    decoder_heads=2,
    decoder_mlp=32,
    fpn_channels=16,
    roi_size=4,
    encoder_roi_size=2,
)


def tiny_preset() -> Preset:
    """The paper's parts, hundreds of times smaller."""
    return replace(get_preset("ovsam-rn50x16-coco"), network=TINY)


def tiny_network(description: NetworkDescription = TINY) -> OVSAM:
    """With random weights, always the same."""
    torch.manual_seed(0)
    return OVSAM(description)


def noise(seed: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def photographs(folder: Path, count: int) -> list[str]:
    """Noise as `0.png`, `1.png`, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{i}.png" for i in range(count)]
    for i, name in enumerate(names):
        Image.fromarray(noise(i)).save(folder / name)
    return names


def coco_content(names: Sequence[str], categories: Sequence[str]) -> dict[str, Any]:
    """Each photograph with a rectangle of each of one or two categories."""
    instances = [
        {"image_id": i, "category_id": c, "segmentation": [[x1, y1, x2, y1, x2, y2, x1, y2]]}
        for i in range(len(names))
        for c, (x1, y1, x2, y2) in zip(range(1, len(categories) + 1), RECTANGLES)
    ]
    return {
        "images": [
            {"id": i, "file_name": n, "height": HEIGHT, "width": WIDTH} for i, n in enumerate(names)
        ],
        "annotations": [{"id": i, "iscrowd": 0, **a} for i, a in enumerate(instances)],
        "categories": [{"id": i, "name": name} for i, name in enumerate(categories, 1)],
    }


def small_set(folder: Path, count: int = 6, categories: Sequence[str] = ("cat", "cup")) -> Path:
    """Photographs in `folder/images` and their annotation file, whose path is given."""
    content = coco_content(photographs(folder / "images", count), categories)
    file = folder / "coco.json"
    file.write_text(json.dumps(content))
    return file


def rectangle_crop(
    *rectangles: tuple[int, int, int, int],
    side: int = 64,
    classes: Sequence[int] | None = None,
    unknown: tuple[int, int, int, int] = (0, 0, 0, 0),
) -> Crop:
    """A crop of noise with rectangles on it, classes 0, 1, ... where none are given, and one where
    things may be that no mask shows."""
    hidden = torch.zeros(side, side, dtype=torch.bool)
    hidden[unknown[1] : unknown[3], unknown[0] : unknown[2]] = True
    masks = torch.zeros(len(rectangles), side, side, dtype=torch.bool)
    for mask, (x1, y1, x2, y2) in zip(masks, rectangles):
        mask[y1:y2, x1:x2] = True
    return Crop(
        pixels=torch.from_numpy(noise(0, side, side)).permute(2, 0, 1),
        masks=masks,
        boxes=torch.tensor(rectangles, dtype=torch.float32).reshape(-1, 4),
        classes=torch.tensor(classes if classes is not None else range(len(rectangles))).long(),
        unknown=hidden,
    )
