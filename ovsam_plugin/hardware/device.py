"""Where a network computes, and what is done where its memory runs out."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def pick_device(device: str) -> torch.device:
    """The device that a user's word stands for.

    Args:
        device: "auto" takes CUDA, then Apple's MPS, then the CPU; else a torch device.

    Raises:
        ValueError: torch knows no such device, or this machine has none.
    """
    import torch

    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {device!r} cannot be used: {reason}. Try auto or cpu") from error
    return chosen


def is_out_of_memory(error: BaseException) -> bool:
    """Whether less at once would have worked."""
    import torch

    # The CPU's allocator has no class of its own for it.
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )


def free_memory() -> None:
    """Gives back what torch keeps for later."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
