"""Which errors say that memory ran out."""

from __future__ import annotations

import pytest
import torch

from ovsam_plugin.hardware import memory
from ovsam_plugin.hardware.memory import free_memory, is_out_of_memory


@pytest.mark.parametrize(
    ("error", "out"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
         True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("can't allocate memory"), False),
    ],
)  # fmt: skip
def test_only_what_less_at_once_would_help_counts(error: Exception, out: bool) -> None:
    assert is_out_of_memory(error) is out


def test_the_cpu_s_own_allocator_is_understood() -> None:
    with pytest.raises(RuntimeError) as told:
        torch.empty(2**62, dtype=torch.uint8)
    assert is_out_of_memory(told.value)


@pytest.mark.parametrize("there", [True, False])
def test_what_a_device_keeps_is_given_back_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    emptied: list[bool] = []
    monkeypatch.setattr(memory.torch.cuda, "is_available", lambda: there)
    monkeypatch.setattr(memory.torch.cuda, "empty_cache", lambda: emptied.append(True))
    free_memory()
    assert bool(emptied) is there
