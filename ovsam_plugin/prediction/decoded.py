"""Answers as the network gives them, before they are brought to the photograph's own size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ovsam_plugin.images.frame import Frame, Tile
from ovsam_plugin.network.ovsam import Embeddings
from ovsam_plugin.network.resample import is_at_hand
from ovsam_plugin.prediction.prompts import Prompt

_COMPARED_AT_ONCE = 32


@dataclass(frozen=True, eq=False)
class Decoded:
    """N answers; the logits where they were made, all else on the CPU.

    Attributes:
        prompts: the N prompts.
        logits: (N, h, w) float32 mask logits, each over its own window.
        windows: (N, 4) float32, xyxy in input pixels: what the logits cover.
        boxes: (N, 4) float32, xyxy in input pixels, of the masks; zeros for an empty one.
        stability: (N,) float32 in 0..1.
        quality: (N,) float32 in 0..1, the IoU that the mask is expected to have; its stability
            where the network does not say.
        thing: (N,) float32 in 0..1, the region head's opinion whether it is a whole thing; 0.5
            where the network has none.
        objectness: (N,) float32 in 0..1, how surely it is one whole thing; see `judge`.
        embeddings: (N, D) float32 each, unit length; the head's is zero for an empty mask.
    """

    prompts: tuple[Prompt, ...]
    logits: Tensor
    windows: Tensor
    boxes: Tensor
    stability: Tensor
    quality: Tensor
    thing: Tensor
    objectness: Tensor
    embeddings: Embeddings

    def __getitem__(self, order: Sequence[int]) -> Decoded:
        """Some of the answers, in this order."""
        index = torch.as_tensor(list(order), dtype=torch.int64)
        return Decoded(
            tuple(self.prompts[i] for i in order),
            self.logits[index],
            self.windows[index],
            self.boxes[index],
            self.stability[index],
            self.quality[index],
            self.thing[index],
            self.objectness[index],
            Embeddings(self.embeddings.head[index], self.embeddings.clip[index]),
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Decoded]) -> Decoded:
        """At least one part, one after the other."""
        return cls(
            tuple(prompt for part in parts for prompt in part.prompts),
            torch.cat([part.logits for part in parts]),
            torch.cat([part.windows for part in parts]),
            torch.cat([part.boxes for part in parts]),
            torch.cat([part.stability for part in parts]),
            torch.cat([part.quality for part in parts]),
            torch.cat([part.thing for part in parts]),
            torch.cat([part.objectness for part in parts]),
            Embeddings(
                torch.cat([part.embeddings.head for part in parts]),
                torch.cat([part.embeddings.clip for part in parts]),
            ),
        )

    def moved(self, tile: Tile, whole: Frame, prompts: tuple[Prompt, ...]) -> Decoded:
        """Answers found in a tile, as answers on the whole photograph.

        Args:
            tile: that they were found in.
            whole: the photograph's frame.
            prompts: what was asked, in pixels of the photograph.
        """

        def placed(boxes: Tensor) -> Tensor:
            pixels = boxes.double() / torch.from_numpy(np.tile(tile.frame.scale, 2))
            pixels = pixels * torch.from_numpy(np.tile(tile.zoom, 2))
            pixels = pixels + torch.from_numpy(np.tile(tile.corner, 2))
            return (pixels * torch.from_numpy(np.tile(whole.scale, 2))).float()

        empty = (self.boxes[:, 2:] <= self.boxes[:, :2]).any(1, keepdim=True)
        return replace(
            self,
            prompts=prompts,
            windows=placed(self.windows),
            boxes=placed(self.boxes).masked_fill(empty, 0.0),
        )

    def on_grid(self, size: tuple[int, int], stride: int) -> Tensor:
        """The masks side by side on one grid, to be compared.

        Args:
            size: (h, w) of the input in pixels.
            stride: input pixels a cell.

        Returns:
            (N, h / stride, w / stride) bool, on the logits' device.
        """
        h, w = (-(-side // stride) for side in size)
        device = self.logits.device
        y = (torch.arange(h, device=device) + 0.5) * stride
        x = (torch.arange(w, device=device) + 0.5) * stride
        out = torch.zeros(len(self.logits), h, w, dtype=torch.bool, device=device)
        windows = self.windows.to(device, non_blocking=True)
        for start in range(0, len(out), _COMPARED_AT_ONCE):
            part = slice(start, start + _COMPARED_AT_ONCE)
            x1, y1, x2, y2 = (v[:, None] for v in windows[part].unbind(1))
            u, v = (x - x1) / (x2 - x1) * 2 - 1, (y - y1) / (y2 - y1) * 2 - 1
            places = [u[:, None, :].expand(-1, h, -1), v[:, :, None].expand(-1, -1, w)]
            # Outside its window a mask has logit 0, which is not on.
            sampled = F.grid_sample(
                self.logits[part, None], torch.stack(places, -1), align_corners=False
            )
            out[part] = sampled[:, 0] > 0
        return out


def fetched(*tensors: Tensor) -> list[Tensor]:
    """Numbers of N answers on the CPU, all in one transfer.

    Args:
        tensors: (N, ...) each, on one device; those on a CPU stay as they are.

    Returns:
        The same as float32.
    """
    if is_at_hand(tensors[0]):
        return [tensor.float() for tensor in tensors]
    rows = torch.cat([tensor.float().reshape(len(tensor), -1) for tensor in tensors], 1).cpu()
    parts = torch.split(rows, [tensor[:1].numel() for tensor in tensors], 1)
    return [part.reshape(tensor.shape) for part, tensor in zip(parts, tensors)]
