"""What a network costs: parameters and multiply-adds by part, counted on shapes alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
import torchvision  # noqa: F401  registers the operators that are counted
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from ovsam_plugin.network.description import NetworkDescription
from ovsam_plugin.network.ovsam import OVSAM
from ovsam_plugin.network.prompt_encoder import PromptBatch


@dataclass(frozen=True)
class Part:
    """One part of a network.

    Attributes:
        name: what it is.
        parameters: learned numbers; buffers are not counted.
        multiply_adds: for one image and the prompts asked about.
    """

    name: str
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class Cost:
    """What one image costs a whole method.

    Attributes:
        parameters: learned numbers of every network that runs.
        multiply_adds: for one image and the prompts asked about.
    """

    parameters: int
    multiply_adds: int

    def __add__(self, other: Cost) -> Cost:
        """Of two networks that both run."""
        return Cost(self.parameters + other.parameters, self.multiply_adds + other.multiply_adds)


def _elementwise(per_element: float) -> Callable[..., float]:
    # The counter divides by two to get multiply-adds, so what is already one operation is doubled.
    def count(shape: tuple[int, ...], *args: Any, **kwargs: Any) -> float:
        return 2 * per_element * prod(shape)

    return count


# As the counter that the paper's figure comes from (fvcore's and mmengine's) has it: a convolution
# or a matrix product costs one per multiply-add, a normalisation or a resize a few per element.
_NORMALISATIONS = {
    torch.ops.aten.native_batch_norm: _elementwise(2),
    torch.ops.aten._native_batch_norm_legit_no_training: _elementwise(2),
    torch.ops.aten.native_layer_norm: _elementwise(5),
    torch.ops.aten.upsample_nearest2d: _elementwise(1),
    torch.ops.aten.upsample_bilinear2d: _elementwise(4),
    torch.ops.aten.avg_pool2d: _elementwise(1),
}


def count(description: NetworkDescription, prompts: int = 10) -> list[Part]:
    """Parameters and multiply-adds of every part, for one image and a number of box prompts.

    Nothing is computed: the tensors are fake ones, shapes without numbers.
    """
    with FakeTensorMode(), torch.no_grad():
        network = OVSAM(description).eval().requires_grad_(False)
        side = description.image_size
        pixels = torch.empty(1, 3, side, side)
        boxes = torch.empty(prompts, 4)
        stages = network.backbone(pixels)
        features = network.encode(pixels)
        bins = description.roi_size
        region = torch.empty(prompts, description.fpn_channels, bins, bins)
        bins = description.encoder_roi_size
        last = torch.empty(prompts, stages[3].shape[1], bins, bins)
        pooled = network.backbone.features(last)

        def answer() -> None:
            network.decode(features, PromptBatch(boxes=boxes))
            network.mask_decoder.embed(region, pooled)

        def recognize() -> None:
            network.backbone.embed(network.backbone.features(last))

        parts: list[tuple[str, nn.Module, Callable[[], object]]] = [
            ("image encoder", network.backbone, lambda: network.backbone(pixels)),
            ("SAM2CLIP neck", network.neck, lambda: network.neck(stages)),
            ("CLIP2SAM pyramid", network.fpn_neck, lambda: network.fpn_neck(stages)),
            ("prompt encoder", network.pe, lambda: None),
            ("mask decoder and head", network.mask_decoder, answer),
            ("encoder's own branch", nn.Identity(), recognize),
        ]
        head = network.objectness
        if head is not None:
            parts.append(("objectness head", head, lambda: head(features.image, features.pyramid)))
        return [
            Part(name, sum(p.numel() for p in module.parameters()), _multiply_adds(run))
            for name, module, run in parts
        ]


def _multiply_adds(run: Callable[[], object]) -> int:
    counter = FlopCounterMode(display=False, custom_mapping=_NORMALISATIONS)
    with counter:
        run()
    return int(counter.get_total_flops()) // 2


def total(parts: list[Part]) -> Part:
    """The sum of all parts."""
    return Part(
        "total",
        sum(part.parameters for part in parts),
        sum(part.multiply_adds for part in parts),
    )
