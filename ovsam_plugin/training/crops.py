"""Square crops of photographs with instance masks, and how they are placed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

# Instances of fewer pixels in a crop teach nothing.
MIN_PIXELS = 60
Pixels: TypeAlias = npt.NDArray[np.uint8]
# Of a crop, in pixels: whole cells at the coarsest stride.
Side: TypeAlias = Annotated[int, Field(gt=0, multiple_of=32)]


@dataclass(frozen=True)
class Crop:
    """One training example.

    Attributes:
        pixels: (3, S, S) uint8 RGB.
        masks: (N, S, S) bool.
        boxes: (N, 4) float32 xyxy, each mask's own box.
        classes: (N,) int64.
        unknown: (S, S) bool, where things may be that no mask shows.
        whole: the one instance is all of the photograph, and has a name but no outline.
        problem: why the photograph could not be used; the crop then shows and teaches nothing.
    """

    pixels: Tensor
    masks: Tensor
    boxes: Tensor
    classes: Tensor
    unknown: Tensor
    whole: bool = False
    problem: str = ""

    def to(self, device: torch.device) -> Crop:
        """The same crop on a device."""
        return Crop(
            self.pixels.to(device),
            self.masks.to(device),
            self.boxes.to(device),
            self.classes.to(device),
            self.unknown.to(device),
            self.whole,
            self.problem,
        )


def unread(side: int, problem: str) -> Crop:
    """In place of a crop of a photograph that cannot be used: black, and all of it unknown."""
    return Crop(
        pixels=torch.zeros(3, side, side, dtype=torch.uint8),
        masks=torch.zeros(0, side, side, dtype=torch.bool),
        boxes=torch.zeros(0, 4),
        classes=torch.zeros(0, dtype=torch.int64),
        unknown=torch.ones(side, side, dtype=torch.bool),
        problem=problem,
    )


class Jitter(Protocol):
    """How a square crop of S pixels is placed on a photograph."""

    def __call__(
        self, size: tuple[int, int], masks: Sequence[Pixels], side: int, rng: np.random.Generator
    ) -> npt.NDArray[np.float64]:
        """The (2, 3) affine matrix from pixels of the (H, W) photograph to those of the crop."""
        ...


def near_an_instance(
    size: tuple[int, int], masks: Sequence[Pixels], side: int, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """About a random instance, the long side 0.75 to 2.6 crops, flipped half the time."""
    height, width = size
    zoom = side / max(height, width) * float(np.exp(rng.uniform(np.log(0.75), np.log(2.6))))
    focus = np.array([width, height]) / 2
    if len(masks):
        ys, xs = np.nonzero(masks[int(rng.integers(len(masks)))])
        focus = np.array([xs.mean(), ys.mean()]) if len(xs) else focus
    focus = focus * zoom + rng.uniform(-0.25, 0.25, 2) * side
    return _matrix(size, zoom, focus - side / 2, side, rng)


def mostly_whole(
    size: tuple[int, int], masks: Sequence[Pixels], side: int, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Half the time all of the photograph or nearly so, as it is looked at after training; else
    about an instance, nearer."""
    if rng.random() < 0.5:
        return near_an_instance(size, masks, side, rng)
    zoom = side / max(size) * float(np.exp(rng.uniform(np.log(0.8), np.log(1.45))))
    corner = rng.uniform(0, 1, 2) * [size[1] * zoom - side, size[0] * zoom - side]
    return _matrix(size, zoom, corner, side, rng)


def large_scale(
    size: tuple[int, int], masks: Sequence[Pixels], side: int, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Large-scale jitter (arXiv 2012.07177): the long side 0.1 to 2 crops, anywhere, flipped."""
    zoom = side / max(size) * float(rng.uniform(0.1, 2.0))
    corner = rng.uniform(0, 1, 2) * [size[1] * zoom - side, size[0] * zoom - side]
    return _matrix(size, zoom, corner, side, rng)


def whole(
    size: tuple[int, int], masks: Sequence[Pixels], side: int, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """All of the photograph, as it is looked at after training."""
    zoom = side / max(size)
    return np.array([[zoom, 0, 0], [0, zoom, 0]], dtype=np.float64)


def _matrix(
    size: tuple[int, int],
    zoom: float,
    corner: npt.NDArray[np.float64],
    side: int,
    rng: np.random.Generator,
) -> npt.NDArray[np.float64]:
    """Zoom, then cut at a corner that leaves no margin where the photograph is large enough."""
    matrix = np.array([[zoom, 0, 0], [0, zoom, 0]], dtype=np.float64)
    for axis, length in enumerate((size[1] * zoom, size[0] * zoom)):
        matrix[axis, 2] = -np.clip(corner[axis], 0, max(length - side, 0))
    if rng.random() < 0.5:
        matrix[0] *= -1
        matrix[0, 2] += min(side, size[1] * zoom)
    return matrix


def _warp(
    picture: Pixels, matrix: npt.NDArray[np.float64], side: int, method: int = cv2.INTER_LINEAR
) -> Pixels:
    """The picture under the matrix, areas averaged where it shrinks, as before inference."""
    zoom = abs(matrix[0, 0])
    if zoom < 1:  # warpAffine itself only takes samples
        height, width = picture.shape[:2]
        size = max(1, round(width * zoom)), max(1, round(height * zoom))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        # Resizing keeps the picture's edge in place, warping the middle of its first pixel.
        shift = np.sign(matrix.diagonal()) * (1 - zoom) / 2
        matrix = matrix @ np.diag([width / size[0], height / size[1], 1])
        matrix[:, 2] += shift
    return np.asarray(cv2.warpAffine(picture, matrix, (side, side), flags=method), np.uint8)


def cut(
    picture: Pixels,
    masks: Sequence[Pixels],
    classes: Sequence[int],
    matrix: npt.NDArray[np.float64],
    side: int,
    limit: int,
    rng: np.random.Generator,
    unknown: Pixels | None = None,
) -> Crop:
    """A crop placed by an affine matrix, its light changed a little.

    Args:
        picture: (H, W, 3).
        masks: (H, W) uint8 each.
        classes: of the masks.
        matrix: (2, 3) from pixels of the photograph to those of the crop.
        side: of the crop.
        limit: instances kept, chosen at random.
        rng: of the choice and the light.
        unknown: (H, W), 1 where things may be that no mask shows; nowhere when not given.
    """
    pixels = _warp(picture, matrix, side)
    light = rng.uniform(0.8, 1.2), rng.uniform(-20, 20)
    pixels = np.clip(pixels * light[0] + light[1], 0, 255).astype(np.uint8)
    hidden = np.zeros((side, side), dtype=bool)
    if unknown is not None:
        hidden = _warp(unknown * np.uint8(255), matrix, side, cv2.INTER_NEAREST) > 127
    kept: list[npt.NDArray[np.bool_]] = []
    names: list[int] = []
    for index in rng.permutation(len(masks)):
        mask = _warp(masks[index] * np.uint8(255), matrix, side, cv2.INTER_NEAREST) > 127
        if mask.sum() < MIN_PIXELS or len(kept) == limit:
            hidden |= mask
        else:
            kept.append(mask)
            names.append(classes[index])
    return _crop(torch.from_numpy(pixels).permute(2, 0, 1), kept, names, hidden)


def _crop(
    pixels: Tensor,
    masks: Sequence[npt.NDArray[np.bool_]],
    classes: Sequence[int],
    unknown: npt.NDArray[np.bool_],
) -> Crop:
    boxes = []
    for mask in masks:
        ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        boxes.append((xs[0], ys[0], xs[-1] + 1, ys[-1] + 1))
    return Crop(
        pixels=pixels,
        masks=torch.from_numpy(np.array(masks, dtype=bool).reshape(-1, *unknown.shape)),
        boxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        classes=torch.tensor(classes, dtype=torch.int64),
        unknown=torch.from_numpy(unknown),
    )


def paste(onto: Crop, other: Crop, rng: np.random.Generator) -> Crop:
    """Some instances of another crop laid over this one (Simple Copy-Paste, arXiv 2012.07177).

    Instances of this one that are hidden for more than half become unknown.
    """
    chosen = [i for i in range(len(other.masks)) if rng.random() < 0.5]
    if not chosen:
        return onto
    laid = other.masks[chosen]
    cover = laid.any(0)
    pixels = torch.where(cover, other.pixels, onto.pixels)
    unknown = (onto.unknown & ~cover).numpy()
    masks, classes = [], []
    for mask, label in zip(onto.masks, onto.classes.tolist()):
        seen = mask & ~cover
        if seen.sum() >= max(MIN_PIXELS, 0.5 * float(mask.sum())):
            masks.append(seen.numpy())
            classes.append(label)
        else:
            unknown = unknown | seen.numpy()
    masks += [mask.numpy() for mask in laid]
    classes += other.classes[chosen].tolist()
    return _crop(pixels, masks, classes, unknown)
