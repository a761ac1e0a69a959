"""What a predictor returns for one image, before anything has a name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import numpy.typing as npt

from ovsam_plugin.images.mask_crop import NOTHING, MaskCrop
from ovsam_plugin.prediction.prompts import Prompt


class PackedMasks(Sequence[npt.NDArray[np.bool_]]):
    """Masks cut to their boxes, each read as a bool array and kept at one bit a pixel."""

    def __init__(self, crops: tuple[MaskCrop, ...]) -> None:
        self.crops = crops

    @classmethod
    def pack(cls, masks: Sequence[npt.NDArray[np.bool_]]) -> PackedMasks:
        """From (h, w) bool arrays of any sizes."""
        return cls(tuple(map(MaskCrop.pack, masks)))

    def __len__(self) -> int:
        return len(self.crops)

    @overload
    def __getitem__(self, index: int) -> npt.NDArray[np.bool_]: ...
    @overload
    def __getitem__(self, index: slice) -> PackedMasks: ...
    def __getitem__(self, index: int | slice) -> npt.NDArray[np.bool_] | PackedMasks:
        """One mask as a bool array, or some of them still packed."""
        if isinstance(index, slice):
            return PackedMasks(self.crops[index])
        return self.crops[index].mask

    def take(self, order: Sequence[int]) -> PackedMasks:
        """Some of them, in this order, still packed."""
        return PackedMasks(tuple(self.crops[i] for i in order))

    def __add__(self, other: PackedMasks) -> PackedMasks:
        return PackedMasks(self.crops + other.crops)


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

    def crop(self, index: int) -> MaskCrop:
        """One mask in its place."""
        return self.masks.crops[index].moved(*self.boxes[index, :2].tolist())

    def full_mask(self, index: int) -> npt.NDArray[np.bool_]:
        """One mask on the whole image, (H, W) bool."""
        return self.crop(index).on(self.image_size)

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


def given(size: tuple[int, int], prompts: Sequence[Prompt]) -> Instances:
    """Masks that somebody drew, as they are; without embeddings.

    Args:
        size: (height, width) of the photograph.
        prompts: masks that are not to be drawn anew.

    Raises:
        ValueError: a mask is of another size than the photograph.
    """
    placed = [prompt.on_image(size[1], size[0]) for prompt in prompts]
    crops = tuple(prompt.drawn or NOTHING for prompt in placed)
    nothing = np.zeros((len(crops), 0), np.float32)
    sure = np.ones(len(crops), np.float32)
    return Instances(
        image_size=size,
        boxes=np.array([crop.box for crop in crops], np.int64).reshape(-1, 4),
        masks=PackedMasks(crops),
        stability=sure,
        objectness=sure,
        head_embeddings=nothing,
        clip_embeddings=nothing,
        prompts=tuple(placed),
    )
