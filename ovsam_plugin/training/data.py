"""Photographs with instance masks, as randomly zoomed square crops."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
import torch
from pycocotools.coco import COCO
from scipy.io import loadmat
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ovsam_plugin.images import read_image
from ovsam_plugin.network.description import NetworkDescription

UNKNOWN_CLASS = -1
Pixels: TypeAlias = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Crop:
    """One training example.

    Attributes:
        pixels: (3, S, S) uint8 RGB.
        masks: (N, S, S) bool.
        boxes: (N, 4) float32 xyxy, each mask's own box.
        classes: (N,) int64.
    """

    pixels: Tensor
    masks: Tensor
    boxes: Tensor
    classes: Tensor


def is_validation(name: str, share: float = 0.15) -> bool:
    """Whether a photograph is kept back, decided by its file name alone."""
    digest = hashlib.sha256(name.encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32 < share


class CocoCrops(Dataset[Crop]):
    """Random crops of photographs with COCO annotations, and of label maps where there are any.

    Args:
        images: folder of the photographs.
        annotations: COCO annotation file.
        region_maps: folders of (images, MATLAB ground truth) in the layout of BSDS500, whose
            regions are instances without a class.
        crop: side S in pixels.
        max_instances: kept a crop, chosen at random.
        seed: of every random choice; the choice also depends on the epoch's index.
    """

    def __init__(
        self,
        images: Path,
        annotations: Path,
        region_maps: Sequence[tuple[Path, Path]] = (),
        *,
        crop: int,
        max_instances: int,
        seed: int,
    ) -> None:
        self.coco = COCO(str(annotations))
        self.images = images
        self.crop, self.max_instances, self.seed = crop, max_instances, seed
        categories = sorted(self.coco.getCatIds())
        self.class_of = {c: i for i, c in enumerate(categories)}
        self.names = [self.coco.cats[c]["name"] for c in categories]
        self.ids = [i for i, r in self.coco.imgs.items() if not is_validation(r["file_name"])]
        self.regions = [
            (picture, truth / f"{picture.stem}.mat")
            for pictures, truth in region_maps
            for picture in sorted(pictures.glob("*.jpg"))
        ]
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.ids) + len(self.regions)

    def __getitem__(self, index: int) -> Crop:
        rng = np.random.default_rng((self.seed, self.epoch, index))
        if index < len(self.ids):
            picture, masks, classes = self._annotated(self.ids[index])
        else:
            picture, masks, classes = self._region_map(*self.regions[index - len(self.ids)], rng)
        return random_crop(picture, masks, classes, self.crop, self.max_instances, rng)

    def _annotated(self, image_id: int) -> tuple[Pixels, list[Pixels], list[int]]:
        record = self.coco.imgs[image_id]
        found = [a for a in self.coco.imgToAnns[image_id] if not a.get("iscrowd")]
        masks = [self.coco.annToMask(a) for a in found]
        classes = [self.class_of[a["category_id"]] for a in found]
        return read_image(self.images / record["file_name"]), masks, classes

    def _region_map(
        self, picture: Path, truth: Path, rng: np.random.Generator
    ) -> tuple[Pixels, list[Pixels], list[int]]:
        levels = loadmat(truth)["groundTruth"][0]
        labels = levels[int(rng.integers(len(levels)))]["Segmentation"][0, 0]
        ids, areas = np.unique(labels, return_counts=True)
        kept = ids[(areas > 150) & (areas < 0.7 * labels.size)]
        masks = [(labels == i).astype(np.uint8) for i in kept]
        return read_image(picture), masks, [UNKNOWN_CLASS] * len(masks)


def random_crop(
    picture: Pixels,
    masks: Sequence[Pixels],
    classes: Sequence[int],
    size: int,
    limit: int,
    rng: np.random.Generator,
) -> Crop:
    """A square crop at a random zoom around a random instance, flipped half the time."""
    height, width = picture.shape[:2]
    zoom = size / max(height, width) * float(np.exp(rng.uniform(np.log(0.75), np.log(2.6))))
    matrix = np.array([[zoom, 0, 0], [0, zoom, 0]], dtype=np.float64)
    if len(masks):
        ys, xs = np.nonzero(masks[int(rng.integers(len(masks)))])
        focus = np.array([xs.mean(), ys.mean()]) if len(xs) else np.array([width, height]) / 2
    else:
        focus = np.array([width, height]) / 2
    for axis, length in enumerate((width, height)):
        spare = length * zoom - size
        shift = focus[axis] * zoom - size / 2 + rng.uniform(-0.25, 0.25) * size
        matrix[axis, 2] = -np.clip(shift, min(spare, 0), max(spare, 0)) if spare > 0 else 0
    if rng.random() < 0.5:
        matrix[0] *= -1
        matrix[0, 2] += min(size, width * zoom) if width * zoom < size else size
    method = cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
    pixels = cv2.warpAffine(picture, matrix, (size, size), flags=method)
    light = rng.uniform(0.8, 1.2), rng.uniform(-20, 20)
    pixels = np.clip(pixels * light[0] + light[1], 0, 255).astype(np.uint8)
    kept, boxes, names = [], [], []
    for index in rng.permutation(len(masks)):
        mask = cv2.warpAffine(masks[index], matrix, (size, size), flags=cv2.INTER_NEAREST) > 0
        if mask.sum() < 60:
            continue
        ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        kept.append(mask)
        boxes.append((xs[0], ys[0], xs[-1] + 1, ys[-1] + 1))
        names.append(classes[index])
        if len(kept) == limit:
            break
    return Crop(
        pixels=torch.from_numpy(pixels).permute(2, 0, 1),
        masks=torch.from_numpy(np.array(kept, dtype=bool).reshape(-1, size, size)),
        boxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        classes=torch.tensor(names, dtype=torch.int64),
    )


def normalize(crops: Sequence[Crop], description: NetworkDescription) -> Tensor:
    """(B, 3, S, S) float32, what the encoder reads."""
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (description.mean, description.std))
    pixels = (torch.stack([crop.pixels for crop in crops]).float() - mean) / std
    return pixels.contiguous(memory_format=torch.channels_last)


def endless(
    dataset: CocoCrops, batch: int, seed: int, start: int = 0, workers: int = 0
) -> Iterator[list[Crop]]:
    """Batches for ever, shuffled anew each epoch; the first `start` are skipped, to resume."""
    per_epoch = len(dataset) // batch
    epoch, skip = divmod(start, per_epoch)
    while True:
        dataset.epoch = epoch
        order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(seed + epoch))
        batches = [order[i * batch : (i + 1) * batch].tolist() for i in range(skip, per_epoch)]
        yield from DataLoader(dataset, batch_sampler=batches, collate_fn=list, num_workers=workers)
        epoch, skip = epoch + 1, 0
