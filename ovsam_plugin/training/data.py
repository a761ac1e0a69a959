"""Photographs with annotations as batches of random crops."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from pycocotools.coco import COCO
from scipy.io import loadmat
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ovsam_plugin.hardware.orphan import end_with_parent
from ovsam_plugin.images.reading import ImageError, read_image
from ovsam_plugin.network.description import NetworkDescription
from ovsam_plugin.training.annotations import file_of, find_image, is_in_share
from ovsam_plugin.training.crops import (
    Crop,
    Jitter,
    Pixels,
    cut,
    near_an_instance,
    paste,
    unread,
)
from ovsam_plugin.training.loop import epochs

UNKNOWN_CLASS = -1
# How often a crop gets some instances of another one pasted onto it.
PASTED = 0.4


@dataclass(frozen=True, eq=False)
class Source:
    """Photographs with annotations of one origin.

    Attributes:
        images: their folder.
        coco: their annotations, from `load_annotations`.
        complete: whether all things of the annotations' classes are annotated; where they are not,
            what is not annotated is unknown and not background.
    """

    images: Path
    coco: COCO
    complete: bool = True


class CocoCrops(Dataset[Crop]):
    """Random crops of photographs with COCO or LVIS annotations, and of label maps.

    Args:
        sources: the photographs; their categories are one where their names are.
        crop: side S in pixels.
        max_instances: kept a crop, chosen at random.
        seed: of every random choice; the choice also depends on the epoch's index.
        regions: folders of (photographs, MATLAB ground truth) in the layout of BSDS500, whose
            regions are instances without a class.
        jitter: how crops are placed; `near_an_instance` when not given.
        left_out: names of categories whose instances are unknown: neither things nor background.
        keep: of the file name of a photograph of a complete source, whether it is used; those of
            other sources all are.
        paste: whether instances of other photographs are pasted onto some crops.
        share: of all photographs that are used, chosen by a hash of their names.

    Raises:
        FileNotFoundError: a photograph or its ground truth is not there.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        crop: int,
        max_instances: int,
        seed: int,
        regions: Sequence[tuple[Path, Path]] = (),
        jitter: Jitter | None = None,
        left_out: frozenset[str] = frozenset(),
        keep: Callable[[str], bool] = lambda name: True,
        paste: bool = False,
        share: float = 1.0,
    ) -> None:
        self.crop, self.max_instances, self.seed = crop, max_instances, seed
        self.jitter = jitter or near_an_instance
        self.paste, self.left_out = paste, left_out
        categories = [s.coco.cats[c]["name"] for s in sources for c in sorted(s.coco.cats)]
        self.names = list(dict.fromkeys(categories))
        class_of = {name: i for i, name in enumerate(self.names)}
        self.items: list[tuple[Path, Source, list[tuple[dict[str, Any], int]]]] = []
        missing = []
        for source in sources:
            named = {i: c["name"] for i, c in source.coco.cats.items()}
            for image_id, record in source.coco.imgs.items():
                name = file_of(record)
                if source.complete and not keep(name):
                    continue
                if not is_in_share(name, share, "share"):
                    continue
                path = find_image(source.images, name)
                if path is None:
                    missing.append(name)
                    continue
                found = [
                    (a, UNKNOWN_CLASS if of in left_out else class_of[of])
                    for a in source.coco.imgToAnns[image_id]
                    for of in [named[a["category_id"]]]
                ]
                self.items.append((path, source, found))
        if missing:
            one = len(missing) == 1
            what = (
                "photograph is not in its folder" if one else "photographs are not in their folders"
            )
            raise FileNotFoundError(
                f"{len(missing)} annotated {what}: "
                f"{', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}"
            )
        pairs = [pair for folders in regions for pair in _region_files(*folders)]
        self.regions = [p for p in pairs if is_in_share(p[0].name, share, "share")]
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.items) + len(self.regions)

    def __getitem__(self, index: int) -> Crop:
        rng = np.random.default_rng((self.seed, self.epoch, index))
        try:
            crop = self._cut(index, rng)
            if self.paste and index < len(self.items) and rng.random() < PASTED:
                crop = paste(crop, self._cut(int(rng.integers(len(self.items))), rng), rng)
        except ImageError as error:  # one bad photograph stops no run
            return unread(self.crop, str(error))
        return crop

    def check(self) -> None:
        """That there is something to train on.

        Raises:
            ValueError: there is no photograph, or none with an instance.
        """
        if not len(self):
            raise ValueError(
                "every annotated photograph is kept back to judge by, and none is left to train "
                "on: give more photographs"
            )
        taught = (
            not a.get("iscrowd") and of != UNKNOWN_CLASS
            for *_, found in self.items
            for a, of in found
        )
        if not self.regions and not any(taught):
            raise ValueError(
                "no photograph that is trained on has an instance: crowds, and classes that are "
                "left out, teach nothing"
            )

    def _cut(self, index: int, rng: np.random.Generator) -> Crop:
        if index < len(self.items):
            picture, masks, classes, unknown = self._annotated(*self.items[index])
        else:
            picture, masks, classes = self._region_map(*self.regions[index - len(self.items)], rng)
            unknown = np.ones(picture.shape[:2], np.uint8)
        matrix = self.jitter(picture.shape[:2], masks, self.crop, rng)
        return cut(picture, masks, classes, matrix, self.crop, self.max_instances, rng, unknown)

    @staticmethod
    def _annotated(
        path: Path, source: Source, found: list[tuple[dict[str, Any], int]]
    ) -> tuple[Pixels, list[Pixels], list[int], Pixels]:
        picture = read_image(path)
        for instance, _ in found[:1]:
            image = source.coco.imgs[instance["image_id"]]
            if picture.shape[:2] != (image["height"], image["width"]):
                raise ImageError(
                    f"{path} is {picture.shape[1]} x {picture.shape[0]}, and its annotations say "
                    f"{image['width']} x {image['height']}"
                )
        masks = [(source.coco.annToMask(a), bool(a.get("iscrowd")), c) for a, c in found]
        singles = [(m, c) for m, crowd, c in masks if not crowd and c != UNKNOWN_CLASS]
        unknown = np.full(picture.shape[:2], not source.complete, np.uint8)
        for mask, _, c in masks:
            if c == UNKNOWN_CLASS:
                unknown[mask > 0] = 1
        for mask, _ in singles:
            unknown[mask > 0] = 0
        for mask, crowd, _ in masks:  # a crowd's things are not told apart
            if crowd:
                unknown[mask > 0] = 1
        return picture, [mask for mask, _ in singles], [c for _, c in singles], unknown

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
        yield from DataLoader(
            rows,
            batch_sampler=batches,
            collate_fn=list,
            num_workers=workers,
            worker_init_fn=end_with_parent,
        )
