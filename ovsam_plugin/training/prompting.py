"""Prompts as people give them, drawn at random from annotated crops."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import box_iou

from ovsam_plugin.network.prompt_encoder import MASK_LOGIT, PromptBatch
from ovsam_plugin.training.crops import Crop
from ovsam_plugin.training.proposals import share_inside


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
        xy.append((x + 0.5, y + 0.5))
        labels.append(0.0 if negative else 1.0)
    return torch.tensor(xy, dtype=torch.float32), torch.tensor(labels)


def clicks(crop: Crop, which: Tensor, count: int, generator: torch.Generator) -> PromptBatch:
    """The same number of clicks on each of some instances of a crop."""
    picked = [click(mask.numpy(), count, generator) for mask in crop.masks[which]]
    xy, labels = zip(*picked)
    return PromptBatch(points=torch.stack(xy), point_labels=torch.stack(labels))


def random_points(crop: Crop, which: Tensor, generator: torch.Generator) -> PromptBatch:
    """One point anywhere on each of some instances of a crop."""
    picked = []
    for mask in crop.masks[which]:
        cells = torch.nonzero(mask)
        y, x = cells[int(torch.randint(len(cells), (1,), generator=generator))].tolist()
        picked.append((x + 0.5, y + 0.5))
    return PromptBatch(points=torch.tensor(picked)[:, None], point_labels=torch.ones(len(which), 1))


def jittered(boxes: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Boxes as drawn by people and detectors: many exact, some loose, a few far off.

    Args:
        boxes: (N, 4) xyxy.
        size: side of the crop they stay in.
    """
    spread = torch.tensor([0.0, 0.0, 0.05, 0.05, 0.15])
    chosen = spread[torch.randint(len(spread), (len(boxes), 1), generator=generator)]
    sides = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    moved = boxes + torch.randn(len(boxes), 4, generator=generator) * chosen * sides
    moved = torch.cat([torch.minimum(moved[:, :2], boxes[:, 2:] - 1), moved[:, 2:]], 1)
    moved = torch.cat([moved[:, :2], torch.maximum(moved[:, 2:], moved[:, :2] + 1)], 1)
    return moved.clamp(0, size)


def make_prompts(crop: Crop, which: Tensor, kind: str, generator: torch.Generator) -> PromptBatch:
    """Prompts for some instances of a crop: boxes, one to three clicks, or rough masks."""
    if kind == "point":
        several = float(torch.rand(1, generator=generator)) < 0.3
        count = 1 + several * int(torch.randint(1, 3, (1,), generator=generator))
        return clicks(crop, which, count, generator)
    boxes = jittered(crop.boxes[which], crop.masks.shape[-1], generator)
    if kind == "box":
        return PromptBatch(boxes=boxes)
    rough = np.stack([cv2.blur(m.numpy().astype(np.float32), (33, 33)) for m in crop.masks[which]])
    level = 0.2 + 0.6 * torch.rand(len(which), 1, 1, generator=generator)
    drawn = (torch.from_numpy(rough) > level).float()[:, None]
    return PromptBatch(boxes=boxes, masks=F.avg_pool2d(drawn, 4) * (2 * MASK_LOGIT) - MASK_LOGIT)


def background_boxes(crop: Crop, count: int, generator: torch.Generator) -> Tensor:
    """Random boxes that hold no thing, (M, 4) xyxy with M <= count: they overlap no annotated
    instance much, and nothing unknown."""
    size = crop.masks.shape[-1]
    a, b = (torch.rand(count, 2, 2, generator=generator) * size).sort(1).values.unbind(1)
    boxes = torch.cat([a, b], 1)
    boxes = boxes[((boxes[:, 2:] - boxes[:, :2]) > 24).all(1)]
    if not len(boxes) or not len(crop.boxes):
        return boxes[:0]
    known = share_inside(crop.unknown, boxes) < 0.2
    return boxes[known & (box_iou(boxes, crop.boxes).amax(1) < 0.3)]
