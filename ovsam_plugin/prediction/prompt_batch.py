"""Prompts on their way into a network: what may be decoded together, and as what tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ovsam_plugin.images.frame import Frame
from ovsam_plugin.network.prompt_encoder import PromptBatch, mask_to_logits
from ovsam_plugin.prediction.prompts import Box, Mask, Points, Prompt


def alike(prompts: Sequence[Prompt], chunk: int) -> Iterator[list[int]]:
    """Indices of prompts that may be decoded together, at most `chunk` at a time."""
    groups: dict[tuple[str, int], list[int]] = {}
    for i, prompt in enumerate(prompts):
        groups.setdefault(prompt.shape, []).append(i)
    for indices in groups.values():
        for start in range(0, len(indices), chunk):
            yield indices[start : start + chunk]


def prompt_batch(
    prompts: Sequence[Prompt], frame: Frame, padded: tuple[int, int], device: torch.device
) -> PromptBatch:
    """Prompts of one `shape` as the network reads them.

    Args:
        prompts: N, at least one, in pixels of the photograph.
        frame: the photograph as it is encoded.
        padded: (h, w) of what the encoder reads, in pixels.
        device: where the tensors are to be.
    """
    corners = np.tile(frame.scale, 2)
    points = [p for p in prompts if isinstance(p, Points)]
    if points:
        xy = _tensor(np.array([p.xy for p in points]) * frame.scale, device)
        return PromptBatch(
            points=xy, point_labels=_tensor(np.array([p.labels for p in points]), device)
        )
    boxes = [p.xyxy for p in prompts if isinstance(p, Box)]
    if boxes:
        return PromptBatch(boxes=_tensor(np.array(boxes) * corners, device))
    crops = [p.crop for p in prompts if isinstance(p, Mask)]
    shares = (_tensor(c.shares(frame.original_size, frame.size), device) for c in crops)
    return PromptBatch(
        boxes=_tensor(np.array([crop.box for crop in crops]) * corners, device),
        masks=torch.stack([mask_to_logits(share, padded) for share in shares]),
    )


def _tensor(values: npt.NDArray[np.generic], device: torch.device) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).to(device)
