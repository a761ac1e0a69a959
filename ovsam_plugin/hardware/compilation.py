"""Code made for one machine and one size of picture, where somebody asks for it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar, cast

import torch

logger = logging.getLogger(__name__)

_Function = TypeVar("_Function", bound=Callable[..., object])


def compiled(function: _Function, device: torch.device) -> _Function:
    """`torch.compile` of a function, once a small one shows that this machine can compile.

    Args:
        function: of tensors. Its first call, and the first with tensors of another size, take half
            a minute or more; from the ninth size on it runs as it is.
        device: where they are.

    Raises:
        ValueError: this machine cannot compile; says why.
    """
    try:
        torch.compile(torch.sin, fullgraph=True)(torch.zeros(8, device=device))
    except Exception as error:  # each backend has errors of its own
        raise ValueError(
            "compile needs torch.compile (with a C++ compiler, and Triton on CUDA), which fails "
            f"on this machine: {str(error).strip().splitlines()[0]}. Leave compile out"
        ) from error
    logger.warning(
        "the network is compiled at its first photograph, and again where the next ones have "
        "another size: half a minute or more each time"
    )
    # Each size alone: code for any size took minutes to make, and was slower than none.
    return cast(_Function, torch.compile(function, dynamic=False))
