"""Prints as JSON what a CPU and the stand-in answer and learn:
`python -m tests.hardware.on_stand_in PHOTOGRAPH FOLDER`."""

from __future__ import annotations

# First of all: it changes torch.
from tests.hardware import stand_in  # isort: split

import json
import sys
from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
import torch

from ovsam_plugin import label_dataset
from ovsam_plugin.training.loop import Recipe
from tests.training import test_clip2sam, test_lite, test_sam2clip
from tests.training.small import photographs, small_set

WAYS: dict[str, dict[str, Any]] = {
    "nothing asked": {},
    "from a lattice": {"grid": 6},
    "in parts": {"tiles": 2},
    "boxes": {"box_field": "boxes"},
    "points": {"point_field": "points"},
    "masks": {"mask_field": "masks"},
    "masks drawn anew": {"mask_field": "masks", "refine_masks": True},
    "words": {"find": "a cat"},
}


def asking(photograph: Path) -> fo.Dataset:
    """The photograph twice, with prompts of each kind."""
    box = [0.1, 0.1, 0.5, 0.6]
    mask = np.zeros((40, 60), bool)
    mask[5:35, 10:50] = True
    points = ([[0.4, 0.4]], [[0.4, 0.4], [0.6, 0.6]])
    dataset = fo.Dataset()
    sample = fo.Sample(
        filepath=str(photograph),
        boxes=fo.Detections(detections=[fo.Detection(label="x", bounding_box=box)]),
        points=fo.Keypoints(keypoints=[fo.Keypoint(label="x", points=some) for some in points]),
        masks=fo.Detections(detections=[fo.Detection(label="x", bounding_box=box, mask=mask)]),
    )
    dataset.add_samples([sample.copy() for _ in range(2)], progress=False)
    return dataset


def answered(photograph: Path, device: str) -> dict[str, Any]:
    """What is found in it, by what was asked: names, confidences, boxes, sizes of masks."""
    dataset, found = asking(photograph), {}
    for way, settings in WAYS.items():
        field = f"found_{way.replace(' ', '_')}"
        summary = label_dataset(
            dataset,
            label_field=field,
            vocabulary="cat, dog, chair, person",
            device=device,
            precision="fp32",
            batch_size=2,
            workers=0,
            progress=False,
            **settings,
        )
        labels = dataset.last()[field].detections
        found[way] = [
            [label.label, label.confidence, *label.bounding_box, int(label.mask.sum())]
            for label in labels
        ]
        found[way].append(["failed", summary.failed, *summary.reasons])
    dataset.delete()
    return found


def learned(folder: Path, device: str) -> dict[str, Any]:
    """Losses of a step, lengths of their gradients, and figures, by recipe."""
    both, apart = small_set(folder / "both", 8, ["cup", "train"]), folder / "apart"
    photographs(apart / "images", 6)
    torch.manual_seed(0)
    recipes: dict[str, Recipe] = {
        "lite": test_lite.LiteRecipe(test_lite.settings(both, encoder_rate=0.1)),
        "clip2sam": test_clip2sam.recipe(both, ["cup", "train"], kept_back=0.3),
        "sam2clip": test_sam2clip.recipe(apart, kept_back=0.3),
    }
    found = {}
    for name, recipe in recipes.items():
        recipe.to(device).train()
        batch = next(iter(recipe.batches(0, 0, 1)))
        torch.manual_seed(0)  # of dropout
        losses = recipe(batch, torch.Generator().manual_seed(0))
        torch.stack(list(losses.values())).sum().backward()
        given = [p.grad.norm() for p in recipe.parameters() if p.grad is not None]
        length = torch.stack(given).norm().item()
        values = {key: value.item() for key, value in losses.items()}
        found[name] = {**values, "gradient": length, **recipe.validate()}
    return found


def main() -> None:
    """Command line."""
    photograph, folder = map(Path, sys.argv[1:])
    found = {
        device: {
            "answers": answered(photograph, device), "learns": learned(folder / device, device)
        }
        for device in ("cpu", stand_in.NAME)
    }  # fmt: skip
    print(json.dumps(found))


if __name__ == "__main__":
    main()
