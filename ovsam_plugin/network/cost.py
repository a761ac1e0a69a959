"""What a network costs: parameters and multiply-adds by part, counted on shapes alone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
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
from ovsam_plugin.network.region_masks import BINS, DRAWN, FINE


@dataclass(frozen=True)
class PartCost:
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


def _attention(
    q: tuple[int, ...], k: tuple[int, ...], v: tuple[int, ...], *_: Any, **__: Any
) -> int:
    return 2 * prod(q[:-1]) * k[-2] * (q[-1] + v[-1])


# As the counter that the paper's figure comes from (fvcore's and mmengine's) has it: a convolution
# or a matrix product costs one per multiply-add, a normalisation or a resize a few per element.
_NORMALISATIONS = {
    torch.ops.aten.native_batch_norm: _elementwise(2),
    torch.ops.aten._native_batch_norm_legit_no_training: _elementwise(2),
    torch.ops.aten.native_layer_norm: _elementwise(5),
    torch.ops.aten.upsample_nearest2d: _elementwise(1),
    torch.ops.aten.upsample_bilinear2d: _elementwise(4),
    torch.ops.aten.avg_pool2d: _elementwise(1),
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
}


def count(description: NetworkDescription, prompts: int = 10) -> list[PartCost]:
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

        head, prompt = network.region_masks, PromptBatch(boxes=boxes)

        def answer() -> None:
            if head is None:  # a network with that head needs this decoder for mask prompts alone
                network.decode(features, prompt)
            read = pooled
            if description.pooled_context:
                read = torch.cat([pooled, network.backbone.features(last)], 1)
            network.mask_decoder.embed(region, read)

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
        if head is not None:
            wide = head.from_level.out_channels
            drawing = torch.empty(prompts, DRAWN, BINS, BINS)
            read = torch.empty(prompts, wide, BINS, BINS)
            detail = torch.empty(prompts, FINE, 2 * BINS, 2 * BINS)

            def draw() -> None:
                head.project(features.image, features.pyramid)
                head.from_prompt(drawing)
                head.draw(read, detail)

            parts.append(("region masks", head, draw))
        if network.objectness is not None:
            things = network.objectness
            parts.append(
                ("objectness head", things, lambda: things(features.image, features.pyramid))
            )
        return [
            PartCost(name, sum(p.numel() for p in module.parameters()), _multiply_adds(run))
            for name, module, run in parts
        ]


@cache
def count_network(description: NetworkDescription, prompts: int) -> Cost:
    """The whole network: all parts of `count` together."""
    whole = total(count(description, prompts))
    return Cost(whole.parameters, whole.multiply_adds)


def count_run(module: nn.Module, run: Callable[[nn.Module], object]) -> Cost:
    """A module with its weights, and what it does in `run`, whose tensors are shapes alone."""
    meta = next(module.parameters()).is_meta
    shapes = nullcontext() if meta else FakeTensorMode(allow_non_fake_inputs=True)
    with shapes, torch.no_grad():
        parameters = sum(p.numel() for p in module.parameters())
        return Cost(parameters, _multiply_adds(lambda: run(module)))


def _multiply_adds(run: Callable[[], object]) -> int:
    counter = FlopCounterMode(display=False, custom_mapping=_NORMALISATIONS)
    with counter:
        run()
    return int(counter.get_total_flops()) // 2


def total(parts: list[PartCost]) -> PartCost:
    """The sum of all parts."""
    return PartCost(
        "total",
        sum(part.parameters for part in parts),
        sum(part.multiply_adds for part in parts),
    )
