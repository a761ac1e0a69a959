"""What a predictor returns for one image, before anything has a name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import numpy.typing as npt

from ovsam_plugin.prompts import Prompt


def crop_mask(
    mask: npt.NDArray[np.bool_],
) -> tuple[tuple[int, int, int, int], npt.NDArray[np.bool_]]:
    """A mask's own box and what is inside it.

    Args:
        mask: (H, W) bool.

    Returns:
        xyxy, x2 and y2 exclusive, and the (y2 - y1, x2 - x1) crop; zeros if no pixel is on.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return (0, 0, 0, 0), np.zeros((0, 0), dtype=bool)
    y1, y2, x1, x2 = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    return (x1, y1, x2, y2), np.ascontiguousarray(mask[y1:y2, x1:x2])


class PackedMasks(Sequence[npt.NDArray[np.bool_]]):
    """Masks kept at one bit a pixel, so that a thousand of a large photograph fit in memory."""

    def __init__(self, packed: tuple[tuple[tuple[int, int], npt.NDArray[np.uint8]], ...]) -> None:
        self._packed = packed

    @classmethod
    def pack(cls, masks: Sequence[npt.NDArray[np.bool_]]) -> PackedMasks:
        """From (h, w) bool arrays of any sizes."""
        return cls(tuple(((m.shape[0], m.shape[1]), np.packbits(m)) for m in masks))

    def __len__(self) -> int:
        return len(self._packed)

    @overload
    def __getitem__(self, index: int) -> npt.NDArray[np.bool_]: ...
    @overload
    def __getitem__(self, index: slice) -> PackedMasks: ...
    def __getitem__(self, index: int | slice) -> npt.NDArray[np.bool_] | PackedMasks:
        """One mask as a bool array, or some of them still packed."""
        if isinstance(index, slice):
            return PackedMasks(self._packed[index])
        shape, bits = self._packed[index]
        return np.unpackbits(bits, count=shape[0] * shape[1]).reshape(shape).astype(bool)

    def take(self, order: Sequence[int]) -> PackedMasks:
        """Some of them, in this order, still packed."""
        return PackedMasks(tuple(self._packed[i] for i in order))

    def __add__(self, other: PackedMasks) -> PackedMasks:
        return PackedMasks(self._packed + other._packed)


@dataclass(frozen=True, eq=False)
class Instances:
    """N instances of one image, in the order of the prompts that asked for them.

    Attributes:
        image_size: (height, width) of the original image in pixels.
        boxes: (N, 4) int64, xyxy pixels, x2 and y2 exclusive: each mask's own box, not the
            prompt's; all zeros where the mask is empty.
        masks: N masks, each read as a bool array (y2 - y1, x2 - x1): cut to its own box.
        stability: (N,) float32 in 0..1: IoU of the mask thresholded a little higher and a little
            lower.
        objectness: (N,) float32 in 0..1: how surely each is one whole thing, well cut out.
        head_embeddings: (N, D) float32, unit length (zero where the mask is empty): the trained
            head's.
        clip_embeddings: (N, D) float32, unit length: the frozen encoder's own.
        prompts: the N prompts.
    """

    image_size: tuple[int, int]
    boxes: npt.NDArray[np.int64]
    masks: PackedMasks
    stability: npt.NDArray[np.float32]
    objectness: npt.NDArray[np.float32]
    head_embeddings: npt.NDArray[np.float32]
    clip_embeddings: npt.NDArray[np.float32]
    prompts: tuple[Prompt, ...]

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def empty(self) -> npt.NDArray[np.bool_]:
        """(N,) bool: the mask has no pixel."""
        return (self.boxes[:, 2] <= self.boxes[:, 0]) | (self.boxes[:, 3] <= self.boxes[:, 1])

    def full_mask(self, index: int) -> npt.NDArray[np.bool_]:
        """One mask on the whole image, (H, W) bool."""
        canvas = np.zeros(self.image_size, dtype=bool)
        x1, y1, x2, y2 = self.boxes[index]
        canvas[y1:y2, x1:x2] = self.masks[index]
        return canvas

    def __getitem__(self, keep: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> Instances:
        """The instances at these indices, in that order (or where a bool array is True)."""
        order = np.arange(len(self))[keep]
        return Instances(
            image_size=self.image_size,
            boxes=self.boxes[order],
            masks=self.masks.take(order.tolist()),
            stability=self.stability[order],
            objectness=self.objectness[order],
            head_embeddings=self.head_embeddings[order],
            clip_embeddings=self.clip_embeddings[order],
            prompts=tuple(self.prompts[i] for i in order),
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Instances]) -> Instances:
        """At least one part, all of one image, one after the other."""
        masks = PackedMasks(())
        for part in parts:
            masks = masks + part.masks
        return cls(
            image_size=parts[0].image_size,
            boxes=np.concatenate([part.boxes for part in parts]),
            masks=masks,
            stability=np.concatenate([part.stability for part in parts]),
            objectness=np.concatenate([part.objectness for part in parts]),
            head_embeddings=np.concatenate([part.head_embeddings for part in parts]),
            clip_embeddings=np.concatenate([part.clip_embeddings for part in parts]),
            prompts=tuple(prompt for part in parts for prompt in part.prompts),
        )


def cut_to_box(
    own: tuple[int, int, int, int],
    mask: npt.NDArray[np.bool_],
    box: tuple[float, float, float, float],
) -> tuple[tuple[int, int, int, int], npt.NDArray[np.bool_]]:
    """A mask without what lies outside a box.

    Args:
        own: xyxy, where the mask's crop lies, in pixels.
        mask: (y2 - y1, x2 - x1) bool.
        box: xyxy in pixels; a pixel that it touches stays.

    Returns:
        The rest's own box and crop, as `crop_mask` gives them.
    """
    x1, y1 = max(own[0], math.floor(box[0])), max(own[1], math.floor(box[1]))
    x2, y2 = min(own[2], math.ceil(box[2])), min(own[3], math.ceil(box[3]))
    inside = mask[
        max(y1 - own[1], 0) : max(y2 - own[1], 0), max(x1 - own[0], 0) : max(x2 - own[0], 0)
    ]
    (left, top, right, bottom), rest = crop_mask(inside)
    if not rest.size:
        return (0, 0, 0, 0), rest
    return (x1 + left, y1 + top, x1 + right, y1 + bottom), rest
