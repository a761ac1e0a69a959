"""How many bits the network computes with."""

from __future__ import annotations

from typing import Literal, TypeAlias, cast, get_args

import torch

Precision: TypeAlias = Literal["auto", "fp32", "bf16", "fp16"]
"""fp32 gives the published numbers; the halves are faster where the processor has them."""

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def check_precision(precision: object) -> Precision:
    """What a user gave, if it is one.

    Raises:
        ValueError: it is not.
    """
    known = get_args(Precision)
    if precision not in known:
        raise ValueError(f"precision is one of {', '.join(known)}, got {precision!r}")
    return cast(Precision, precision)


def pick_precision(precision: Precision, device: torch.device) -> Precision:
    """What "auto" is on a device; the others are themselves.

    bf16 on CUDA from Ampere on and on CPUs with instructions for it (AVX512-BF16 or AMX); fp16 on
    older CUDA devices and on MPS; fp32 elsewhere, where half precision is emulated and slower.

    Raises:
        ValueError: it is no precision.
    """
    if check_precision(precision) != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp16"
    if device.type == "mps":
        return "fp16"
    return "bf16" if device.type == "cpu" and cpu_has_bf16() else "fp32"


def cpu_has_bf16() -> bool:
    """Whether this machine's processor multiplies bfloat16 numbers itself."""
    return _cpu_says("_is_avx512_bf16_supported") or cpu_has_tiles()


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def cpu_has_tiles() -> bool:
    """Whether it multiplies them a tile at a time (AMX), many times as fast as anything else."""
    return _cpu_says("_is_amx_tile_supported")


def _cpu_says(name: str) -> bool:
    # torch has no public name for it; where its own are gone, nothing is known of the processor.
    return bool(getattr(torch.cpu, name, lambda: False)())


def computing_in(precision: Precision, device: torch.device) -> torch.autocast:
    """A context in which convolutions and matrix products are computed in a precision.

    Args:
        precision: not "auto"; see `pick_precision`.
        device: where.
    """
    dtype = _DTYPES.get(precision)
    return torch.autocast(device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None)
