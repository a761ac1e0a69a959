"""The second stage of `ovsam-lite`: boxes of things, with everything else frozen.

    python -m ovsam_plugin.training.objectness --data DIR --run RUN_DIR

RUN_DIR holds `ovsam-lite.safetensors` of the first stage, which is completed in place. The same
photographs are kept back.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor
from torchvision.ops import box_iou, generalized_box_iou_loss

from ovsam_plugin.network.objectness import ObjectnessHead, cell_centres
from ovsam_plugin.network.ovsam import OVSAM
from ovsam_plugin.presets import get_preset
from ovsam_plugin.training.data import CocoCrops, endless, normalize


@dataclass(frozen=True)
class Settings:
    """What decides a run; written beside its weights."""

    steps: int = 900
    batch: int = 4
    crop: int = 448
    max_instances: int = 40
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    seed: int = 1
    threads: int = 2


def assign(boxes: Tensor, h: int, w: int) -> Tensor:
    """Which instance each cell is the middle of.

    Args:
        boxes: (N, 4) xyxy in input pixels.
        h, w: cells.

    Returns:
        (h * w,) int64: the index of the smallest box whose middle half holds the cell's centre
        (and at least the cell nearest to its middle), -1 for none.
    """
    centres = cell_centres(h, w, boxes.device)
    target = torch.full((len(centres),), -1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    for i in torch.argsort(areas, descending=True).tolist():
        middle, size = (boxes[i, :2] + boxes[i, 2:]) / 2, boxes[i, 2:] - boxes[i, :2]
        inside = ((centres - middle).abs() <= size / 4).all(1)
        inside[(centres - middle).square().sum(1).argmin()] = True
        target[inside] = i
    return target


def objectness_loss(logits: Tensor, boxes: Tensor, truth: Tensor, target: Tensor) -> Tensor:
    """Quality focal loss and generalised IoU loss of one image.

    The objectness to learn is the IoU that the cell's own box reaches (arXiv 2006.04388).

    Args:
        logits: (M,).
        boxes: (M, 4) predicted.
        truth: (N, 4).
        target: (M,) from `assign`.
    """
    positive = target >= 0
    quality = torch.zeros_like(logits)
    fit = logits.sum() * 0
    if positive.any():
        wanted = truth[target[positive]]
        found = boxes[positive]
        quality[positive] = box_iou(found.detach(), wanted).diagonal().clamp(min=0)
        fit = generalized_box_iou_loss(found, wanted, reduction="mean")
    entropy = F.binary_cross_entropy_with_logits(logits, quality, reduction="none")
    focus = (logits.detach().sigmoid() - quality).square()
    return (entropy * focus).sum() / positive.sum().clamp(min=1) + fit


def train(data: Path, run: Path, settings: Settings) -> None:
    """Train the head on a first stage's features and write both into its weights file."""
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    description = get_preset("ovsam-lite").network
    network = OVSAM(description)
    weights = run / "ovsam-lite.safetensors"
    network.load_state_dict(
        {k: v.float() if v.is_floating_point() else v for k, v in load_file(weights).items()},
        strict=False,
    )
    network.requires_grad_(False).eval()
    head = network.objectness
    assert isinstance(head, ObjectnessHead)
    head.requires_grad_(True)
    # Cells of things are few: without this start they drown.
    head.get_parameter("output.bias").data[0] = -3.0
    coco = data / "coco-mini"
    dataset = CocoCrops(
        coco / "images",
        coco / "train.json",
        crop=settings.crop,
        max_instances=settings.max_instances,
        seed=settings.seed,
    )
    optimizer = torch.optim.AdamW(
        head.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * step / settings.steps)) + 1e-3
    )
    average, began = 0.0, time.monotonic()
    batches = endless(dataset, settings.batch, settings.seed)
    for step, crops in zip(range(1, settings.steps + 1), batches):
        with torch.no_grad():
            features = network.encode(normalize(crops, description))
        logits, boxes = head(features.image, features.pyramid)
        h, w = features.image.shape[-2:]
        losses = [
            objectness_loss(logits[i], boxes[i], crop.boxes, assign(crop.boxes, h, w))
            for i, crop in enumerate(crops)
        ]
        loss = torch.stack(losses).mean()
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        average = (
            float(loss.detach()) if step == 1 else 0.98 * average + 0.02 * float(loss.detach())
        )
        if step % 20 == 0:
            print(f"step {step} loss {average:.4f} {time.monotonic() - began:.0f}s", flush=True)
        if step % 200 == 0 or step == settings.steps:
            state = {
                name: (t.half() if t.is_floating_point() else t).contiguous()
                for name, t in network.state_dict().items()
            }
            save_file(state, weights)
    record = json.loads((run / "run.json").read_text()) if (run / "run.json").exists() else {}
    record["objectness"] = asdict(settings)
    (run / "run.json").write_text(json.dumps(record, indent=2) + "\n")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=Settings.steps)
    parser.add_argument("--threads", type=int, default=Settings.threads)
    args = parser.parse_args()
    train(args.data, args.run, Settings(steps=args.steps, threads=args.threads))


if __name__ == "__main__":
    main()
