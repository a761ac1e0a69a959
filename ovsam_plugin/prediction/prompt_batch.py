"""Prompts on their way into a network: what may be decoded together, and as what tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ovsam_plugin.images.frame import Frame
from ovsam_plugin.network.prompt_encoder import PromptBatch, mask_to_logits
from ovsam_plugin.prediction.prompts import Prompt


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
    columns: dict[str, list[npt.NDArray[Any]]] = {}
    masks: list[Tensor] = []
    for prompt in prompts:
        for name, values in prompt.inputs(frame.original_size, frame.size).items():
            if name == "masks":  # large ones: one at a time
                masks.append(mask_to_logits(_tensor(values, device), padded))
            else:
                columns.setdefault(name, []).append(values)
    return PromptBatch(
        **{name: _tensor(np.stack(values), device) for name, values in columns.items()},
        masks=torch.stack(masks) if masks else None,
    )


def _tensor(values: npt.NDArray[np.generic], device: torch.device) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).to(device)
