"""Frozen image encoders: a photograph to four maps, a region of the last to an embedding."""

from __future__ import annotations

from copy import deepcopy
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ovsam_plugin.import_lock import IMPORTS
from ovsam_plugin.network.description import NetworkDescription

if TYPE_CHECKING:  # a second, which only its own models need
    from open_clip.modified_resnet import AttentionPool2d, ModifiedResNet

Rgb: TypeAlias = tuple[float, float, float]


class ImageEncoder(nn.Module):
    """Base of the encoders.

    Attributes:
        channels: of the feature maps at strides 4, 8, 16 and 32.
        pooled_channels: F of `features`.
        pretraining_pixels: mean and std of pixel values 0..255 that whole pictures were shown with
            when the encoder was trained; None when those of the description are its own.
    """

    channels: tuple[int, int, int, int]
    pooled_channels: int
    pretraining_pixels: tuple[Rgb, Rgb] | None = None

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(B, 3, S, S) normalised pixels -> maps at strides 4, 8, 16, 32, each (B, C, S/s, S/s)."""
        raise NotImplementedError

    def picture(self, pixels: Tensor) -> Tensor:
        """Whole pictures, (N, 3, s, s) normalised, -> embeddings (N, D), not normalised."""
        return self.embed(self.features(self(pixels)[3]))

    def features(self, regions: Tensor, weights: Tensor | None = None) -> Tensor:
        """Regions of the stride 32 map to pooled features.

        Args:
            regions: (N, C, s, s).
            weights: (N, s, s) float32 in 0..1, how much each cell counts, not all 0 in a region;
                all count the same when not given.

        Returns:
            (N, F).
        """
        raise NotImplementedError

    def embed(self, features: Tensor) -> Tensor:
        """Pooled features (N, F) -> embeddings (N, D) in the text's space, not normalised."""
        raise NotImplementedError

    def fused(self, *, in_place: bool = False) -> ImageEncoder:
        """For inference alone: every batch normalisation folded into the convolution before it.

        Args:
            in_place: whether this encoder becomes it, which takes no second copy of the weights.
        """
        encoder = (self if in_place else deepcopy(self)).eval()
        for module in encoder.modules():
            children = list(module.named_children())
            for (before, conv), (name, norm) in pairwise(children):
                if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    setattr(module, before, fuse_conv_bn_eval(conv, norm))
                    setattr(module, name, getattr(norm, "act", nn.Identity()))
        return encoder


class ClipResNet(ImageEncoder):
    """CLIP's ModifiedResNet, taken apart so that every stage can be read.

    Args:
        name: an open_clip model whose image tower is a ModifiedResNet, such as RN50x16.
        tower: such a tower with its weights, to be taken apart; one without when not given.

    Raises:
        ValueError: open_clip has no such ResNet.
    """

    # open_clip.OPENAI_DATASET_MEAN and _STD of 0..255.
    pretraining_pixels = ((122.7709, 116.7460, 104.0937), (68.5005, 66.6322, 70.3232))

    def __init__(self, name: str, tower: ModifiedResNet | None = None) -> None:
        super().__init__()
        with IMPORTS:
            import open_clip
            from open_clip.modified_resnet import ModifiedResNet
        config = open_clip.get_model_config(name)
        vision = config["vision_cfg"] if config else {}
        if not isinstance(vision.get("layers"), list):
            raise ValueError(f"open_clip has no CLIP ResNet named {name!r}: try RN50x16 or RN50")
        width = int(vision["width"])
        tower = tower or ModifiedResNet(
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

    def features(self, regions: Tensor, weights: Tensor | None = None) -> Tensor:
        return attention_pool(self.head, regions, weights)

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
        c2, c3, c4, c5 = self.run(self.bn1(self.conv_stem(pixels)), range(len(self.blocks)))
        return c2, c3, c4, c5

    def run(self, x: Tensor, blocks: range) -> list[Tensor]:
        """What some of the blocks make of the one before, each map that is read kept, and last the
        output, also where it is not."""
        maps = []
        for index in blocks:
            x = self.blocks[index](x)
            if index in self.taps or index == blocks[-1]:
                maps.append(x)
        return maps

    def features(self, regions: Tensor, weights: Tensor | None = None) -> Tensor:
        cells = cast(Tensor, self.bn2(self.conv_head(regions)))
        if weights is None:
            return cells.mean(dim=(2, 3))
        weights = weights[:, None] / weights.sum(dim=(1, 2)).clamp(min=1e-6)[:, None, None, None]
        return (cells * weights).sum(dim=(2, 3))

    def embed(self, features: Tensor) -> Tensor:
        probabilities = self.classifier(features).float().softmax(-1)
        weights, classes = probabilities.topk(self.top_classes, dim=-1)
        table = cast(Tensor, self.class_embeddings)
        return torch.einsum("nk,nkd->nd", weights, table[classes])


def attention_pool(pool: AttentionPool2d, regions: Tensor, weights: Tensor | None = None) -> Tensor:
    """CLIP's attention pool, also where some cells count less.

    The mean of the cells alone asks. Its query is multiplied into the projection of the keys, and
    what it has seen into that of the values, in place of projecting every cell.

    With weights the query is the weighted mean, and each cell's logarithm of its weight is added to
    its attention logits, so weight 0 hides a cell and weight 1 everywhere is the pool itself.

    Args:
        pool: open_clip's.
        regions: (N, C, s, s), s the pool's own.
        weights: (N, s, s) float32 in 0..1; all 1 when not given.

    Returns:
        (N, D).
    """
    cells = regions.flatten(2).mT
    bias = None
    if weights is None:
        mean = cells.mean(1, keepdim=True)
    else:
        share = weights.flatten(1, 2).to(cells.dtype)[:, None]
        mean = share @ cells / share.sum(2, keepdim=True).clamp(min=1e-6)
        bias = F.pad(share, (1, 0), value=1.0).log()
    tokens = torch.cat([mean, cells], 1) + pool.positional_embedding.to(cells.dtype)
    heads = pool.num_heads
    query = pool.q_proj(tokens[:, 0]).unflatten(1, (heads, -1))
    query = query * query.shape[-1] ** -0.5
    # The key's bias adds the same to all logits, which the softmax takes away.
    wanted = torch.einsum("nhd,hdc->nhc", query, pool.k_proj.weight.unflatten(0, (heads, -1)))
    likeness = wanted @ tokens.mT
    if bias is not None:
        likeness = likeness + bias
    seen = likeness.softmax(-1) @ tokens
    told = torch.einsum("nhc,hdc->nhd", seen, pool.v_proj.weight.unflatten(0, (heads, -1)))
    told = told.flatten(1) + pool.v_proj.bias.to(told.dtype)
    return cast(Tensor, pool.c_proj(told))


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
