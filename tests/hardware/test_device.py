"""Which device a word stands for, and which errors say that its memory ran out."""

from __future__ import annotations

import pytest
import torch

from ovsam_plugin.hardware.device import free_memory, is_out_of_memory, pick_device
from ovsam_plugin.vocabulary.text import load_text_tower


def test_an_unknown_device_is_refused_with_what_to_try() -> None:
    with pytest.raises(ValueError, match="Try auto or cpu"):
        pick_device("warp")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="'cuda' cannot be used"):
            pick_device("cuda")
    assert pick_device("cpu").type == "cpu"


def test_auto_is_a_device_that_this_machine_has() -> None:
    assert torch.zeros(1, device=pick_device("auto")).sum() == 0


def test_a_text_tower_refuses_it_alike() -> None:
    with pytest.raises(ValueError, match="Try auto or cpu"):
        load_text_tower("minilm", device="warp")


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
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(True))
    free_memory()
    assert bool(emptied) is there
