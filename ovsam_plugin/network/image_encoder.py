"""Frozen image encoders: a photograph to four maps, a region of the last to an embedding."""

from __future__ import annotations

from copy import deepcopy
from itertools import pairwise
from typing import Any, cast

import open_clip
import timm
import torch
from open_clip.modified_resnet import ModifiedResNet
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ovsam_plugin.network.description import NetworkDescription


class ImageEncoder(nn.Module):
    """Base of the encoders.

    Attributes:
        channels: of the feature maps at strides 4, 8, 16 and 32.
        pooled_channels: F of `features`.
    """

    channels: tuple[int, int, int, int]
    pooled_channels: int

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(B, 3, S, S) normalised pixels -> maps at strides 4, 8, 16, 32, each (B, C, S/s, S/s)."""
        raise NotImplementedError

    def features(self, regions: Tensor) -> Tensor:
        """Regions of the stride 32 map, (N, C, s, s) -> pooled features (N, F)."""
        raise NotImplementedError

    def embed(self, features: Tensor) -> Tensor:
        """Pooled features (N, F) -> embeddings (N, D) in the text's space, not normalised."""
        raise NotImplementedError

    def fused(self) -> ImageEncoder:
        """An encoder for inference alone that gives the same; this one where nothing is gained."""
        return self


class ClipResNet(ImageEncoder):
    """CLIP's ModifiedResNet, taken apart so that every stage can be read.

    Args:
        name: an open_clip model whose image tower is a ModifiedResNet, such as RN50x16.

    Raises:
        ValueError: open_clip has no such ResNet.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        config = open_clip.get_model_config(name)
        vision = config["vision_cfg"] if config else {}
        if not isinstance(vision.get("layers"), list):
            raise ValueError(f"open_clip has no CLIP ResNet named {name!r}: try RN50x16 or RN50")
        width = int(vision["width"])
        tower = ModifiedResNet(
            layers=vision["layers"],
            output_dim=int(config["embed_dim"]),
            heads=width * 32 // 64,
            image_size=int(vision["image_size"]),
            width=width,
        )
        self.stem = nn.Sequential(
            tower.conv1, tower.bn1, tower.act1,
            tower.conv2, tower.bn2, tower.act2,
            tower.conv3, tower.bn3, tower.act3,
        )  # fmt: skip
        self.avgpool = tower.avgpool
        self.layer1, self.layer2 = tower.layer1, tower.layer2
        self.layer3, self.layer4 = tower.layer3, tower.layer4
        self.head = tower.attnpool
        self.channels = (width * 4, width * 8, width * 16, width * 32)
        self.pooled_channels = int(config["embed_dim"])

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        c2 = self.layer1(self.avgpool(self.stem(pixels)))
        c3 = self.layer2(c2)
        c4 = self.layer3(c3)
        return c2, c3, c4, self.layer4(c4)

    def features(self, regions: Tensor) -> Tensor:
        return cast(Tensor, self.head(regions))

    def embed(self, features: Tensor) -> Tensor:
        return features


class TimmClassifier(ImageEncoder):
    """A timm EfficientNet trained on ImageNet, whose class scores give regions a place among words.

    A region's embedding is the mean of its most probable ImageNet classes' text embeddings, each
    weighted by its probability (ConSE: Norouzi et al., "Zero-shot learning by convex combination
    of semantic embeddings", ICLR 2014).

    Args:
        name: a timm model with `conv_stem`, `blocks`, `conv_head` and `classifier`.
        embed_dim: D of the text embeddings.
    """

    top_classes = 10

    def __init__(self, name: str, embed_dim: int) -> None:
        super().__init__()
        net: Any = timm.create_model(name, pretrained=False)
        self.conv_stem: nn.Module = net.conv_stem
        self.bn1: nn.Module = net.bn1
        self.blocks: nn.Sequential = net.blocks
        self.conv_head: nn.Module = net.conv_head
        self.bn2: nn.Module = net.bn2
        self.classifier: nn.Module = net.classifier
        self.register_buffer("class_embeddings", torch.zeros(net.num_classes, embed_dim))
        info = {f["reduction"]: f for f in net.feature_info}
        # A stage that `feature_info` names as block N ends with `blocks[N]`.
        self.taps = tuple(int(info[s]["module"].split(".")[1]) for s in (4, 8, 16, 32))
        c2, c3, c4, c5 = (int(info[s]["num_chs"]) for s in (4, 8, 16, 32))
        self.channels = (c2, c3, c4, c5)
        self.pooled_channels = int(net.num_features)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        x = self.bn1(self.conv_stem(pixels))
        maps = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.taps:
                maps.append(x)
        c2, c3, c4, c5 = maps
        return c2, c3, c4, c5

    def features(self, regions: Tensor) -> Tensor:
        return cast(Tensor, self.bn2(self.conv_head(regions)).mean(dim=(2, 3)))

    def embed(self, features: Tensor) -> Tensor:
        probabilities = self.classifier(features).float().softmax(-1)
        weights, classes = probabilities.topk(self.top_classes, dim=-1)
        table = cast(Tensor, self.class_embeddings)
        return torch.einsum("nk,nkd->nd", weights, table[classes])

    def fused(self) -> ImageEncoder:
        """With every batch normalisation folded into the convolution before it."""
        encoder = deepcopy(self).eval()
        for module in encoder.modules():
            children = list(module.named_children())
            for (before, conv), (name, norm) in pairwise(children):
                if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    setattr(module, before, fuse_conv_bn_eval(conv, norm))
                    setattr(module, name, getattr(norm, "act", nn.Identity()))
        return encoder


def build_image_encoder(description: NetworkDescription) -> ImageEncoder:
    """The encoder that a description names, without weights.

    Raises:
        ValueError: the name has no known prefix.
    """
    kind, _, name = description.encoder.partition(":")
    if kind == "clip":
        return ClipResNet(name)
    if kind == "timm":
        return TimmClassifier(name, description.embed_dim)
    raise ValueError(f"encoder {description.encoder!r}: expected clip:NAME or timm:NAME")
