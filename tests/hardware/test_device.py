"""Which device a word stands for."""

from __future__ import annotations

import pytest
import torch

from ovsam_plugin.hardware.device import pick_device
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
