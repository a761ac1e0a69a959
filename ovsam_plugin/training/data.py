"""Photographs with annotations as batches of random crops."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from pycocotools.coco import COCO
from scipy.io import loadmat
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ovsam_plugin.images import read_image
from ovsam_plugin.network.description import NetworkDescription
from ovsam_plugin.training.annotations import file_of, find_image, is_validation
from ovsam_plugin.training.crops import Crop, Jitter, Pixels, cut, near_an_instance
from ovsam_plugin.training.engine import epochs

UNKNOWN_CLASS = -1


class CocoCrops(Dataset[Crop]):
    """Random crops of photographs with COCO or LVIS annotations, and of label maps.

    Args:
        images: folder of the photographs.
        coco: annotations of them, from `load_annotations`.
        regions: folders of (photographs, MATLAB ground truth) in the layout of BSDS500, whose
            regions are instances without a class.
        crop: side S in pixels.
        max_instances: kept a crop, chosen at random.
        seed: of every random choice; the choice also depends on the epoch's index.
        jitter: how crops are placed; `near_an_instance` when not given.
        left_out: category ids whose instances are left out.
        kept_back: share of the photographs that is left out, by a hash of their names.
        kept: take the photographs that are kept back, and no others.

    Raises:
        FileNotFoundError: a photograph or its ground truth is not there.
    """

    def __init__(
        self,
        images: Path,
        coco: COCO,
        *,
        crop: int,
        max_instances: int,
        seed: int,
        regions: Sequence[tuple[Path, Path]] = (),
        jitter: Jitter | None = None,
        left_out: frozenset[int] = frozenset(),
        kept_back: float = 0.15,
        kept: bool = False,
    ) -> None:
        self.coco = coco
        self.crop, self.max_instances, self.seed = crop, max_instances, seed
        self.jitter = jitter or near_an_instance
        self.left_out = left_out
        categories = sorted(self.coco.getCatIds())
        self.class_of = {c: i for i, c in enumerate(categories)}
        self.names = [self.coco.cats[c]["name"] for c in categories]
        files = {i: file_of(record) for i, record in self.coco.imgs.items()}
        self.ids = [i for i, name in files.items() if is_validation(name, kept_back) == kept]
        self.files = {i: find_image(images, files[i]) for i in self.ids}
        missing = [files[i] for i, path in self.files.items() if path is None]
        if missing:
            raise FileNotFoundError(
                f"{len(missing)} of the {len(self.ids)} annotated photographs are not in {images}: "
                f"{', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}"
            )
        self.regions = [pair for folders in regions for pair in _region_files(*folders)]
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.ids) + len(self.regions)

    def __getitem__(self, index: int) -> Crop:
        rng = np.random.default_rng((self.seed, self.epoch, index))
        if index < len(self.ids):
            picture, masks, classes = self._annotated(self.ids[index])
        else:
            picture, masks, classes = self._region_map(*self.regions[index - len(self.ids)], rng)
        matrix = self.jitter(picture.shape[:2], masks, self.crop, rng)
        return cut(picture, masks, classes, matrix, self.crop, self.max_instances, rng)

    def _annotated(self, image_id: int) -> tuple[Pixels, list[Pixels], list[int]]:
        found = [
            a
            for a in self.coco.imgToAnns[image_id]
            if not a.get("iscrowd") and a["category_id"] not in self.left_out
        ]
        path = self.files[image_id]
        assert path is not None
        masks = [self.coco.annToMask(a) for a in found]
        return read_image(path), masks, [self.class_of[a["category_id"]] for a in found]

    def _region_map(
        self, picture: Path, truth: Path, rng: np.random.Generator
    ) -> tuple[Pixels, list[Pixels], list[int]]:
        levels = loadmat(truth)["groundTruth"][0]
        labels = levels[int(rng.integers(len(levels)))]["Segmentation"][0, 0]
        ids, areas = np.unique(labels, return_counts=True)
        kept = ids[(areas > 150) & (areas < 0.7 * labels.size)]
        masks = [(labels == i).astype(np.uint8) for i in kept]
        return read_image(picture), masks, [UNKNOWN_CLASS] * len(masks)


def _region_files(pictures: Path, truths: Path) -> list[tuple[Path, Path]]:
    pairs = [(path, truths / f"{path.stem}.mat") for path in sorted(pictures.glob("*.jpg"))]
    if not pairs:
        raise FileNotFoundError(f"no photographs (.jpg) with regions in {pictures}")
    missing = [truth.name for _, truth in pairs if not truth.is_file()]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of the {len(pairs)} photographs in {pictures} have no ground truth in "
            f"{truths}: {', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}"
        )
    return pairs


def normalize(crops: Sequence[Crop], description: NetworkDescription) -> Tensor:
    """(B, 3, S, S) float32, what the encoder reads."""
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (description.mean, description.std))
    pixels = (torch.stack([crop.pixels for crop in crops]).float() - mean) / std
    return pixels.contiguous(memory_format=torch.channels_last)


class Epochs(Protocol):
    """A data set whose crops are other ones in each epoch."""

    epoch: int

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Crop: ...


def endless(
    dataset: Epochs,
    batch: int,
    seed: int,
    start: int = 0,
    workers: int = 0,
    rank: int = 0,
    world: int = 1,
) -> Iterator[list[Crop]]:
    """Batches for ever, shuffled anew each epoch; the first `start` are skipped, to resume.

    Every process of `world` takes a part of its own of each epoch.
    """
    per_epoch = max(len(dataset) // (batch * world), 1)
    first = start // per_epoch
    for epoch, batches in enumerate(epochs(len(dataset), batch, seed, start, rank, world), first):
        dataset.epoch = epoch
        rows: Any = dataset
        yield from DataLoader(rows, batch_sampler=batches, collate_fn=list, num_workers=workers)
