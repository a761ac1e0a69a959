"""The encoder is compiled where that is asked for and possible."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ovsam_plugin.hardware.compilation import compiled


def test_a_compiled_function_gives_what_it_gave(caplog: pytest.LogCaptureFixture) -> None:
    wave, cpu = torch.linspace(0, 1, 32), torch.device("cpu")
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    function = compiled(lambda x: x.exp() * 2 + x, cpu)
    tried = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert torch.allclose(function(wave), wave.exp() * 2 + wave)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > tried > 0
    assert "half a minute or more" in caplog.text


def test_each_size_has_code_of_its_own() -> None:
    torch._dynamo.reset()
    function = compiled(lambda x: x.exp() * 2, torch.device("cpu"))
    torch._dynamo.utils.counters.clear()
    for length in (16, 24, 33, 24, 16):
        wave = torch.linspace(0, 1, length)
        assert torch.allclose(function(wave), wave.exp() * 2)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 3


def test_a_machine_that_cannot_compile_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_a_compiler(function: Any, **_: Any) -> Any:
        def call(*_: Any) -> Any:
            raise RuntimeError("No working C++ compiler found\nand more")

        return call

    monkeypatch.setattr(torch, "compile", without_a_compiler)
    with pytest.raises(ValueError, match="fails on this machine: No working C.. compiler found. L"):
        compiled(torch.sin, torch.device("cpu"))
