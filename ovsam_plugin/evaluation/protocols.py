"""What is asked of a method, and how its answers find the truth they are held against.

| protocol | prompts | pairs |
|---|---|---|
| `box` | the true boxes | each answer with the truth that asked |
| `center-point` | the point deepest inside each true mask | the same |
| `detector` | boxes of a detector | greedily by mask IoU, COCO's rules |
| `everything` | none | the same |

A prompt is all of a truth that reaches a method: a place and an id, no class and no mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np

from ovsam_plugin.dataset.annotations import deepest_point
from ovsam_plugin.evaluation.ground_truth import Truth
from ovsam_plugin.evaluation.mask_iou import MaskCrop, iou_matrix, mask_iou
from ovsam_plugin.evaluation.matching import Matches, match_greedily
from ovsam_plugin.prompts import Box, Points, Prompt

Protocol: TypeAlias = Literal["box", "center-point", "detector", "everything"]
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
PAIRED: tuple[Protocol, ...] = ("box", "center-point")
"""Those whose prompts come from the truth, so that answers are paired by who asked."""

MIN_IOU = 0.5
"""Least mask IoU of a greedy pair."""


@dataclass(frozen=True, eq=False)
class Target:
    """A truth with its mask decoded.

    Attributes:
        truth: the annotation.
        mask: on the image.
        label: its class, a place in the vocabulary that answers are given in.
    """

    truth: Truth
    mask: MaskCrop
    label: int


def check_protocol(protocol: str) -> Protocol:
    """The protocol of that name.

    Raises:
        ValueError: there is none.
    """
    for known in PROTOCOLS:
        if protocol == known:
            return known
    raise ValueError(f"unknown protocol {protocol!r}: there are {', '.join(PROTOCOLS)}")


def prompt_of(target: Target, protocol: Protocol, image_size: tuple[int, int]) -> Prompt:
    """What a paired protocol asks for one truth.

    Args:
        target: the truth; of its box and its mask one is read, of its class nothing.
        protocol: "box" or "center-point".
        image_size: (height, width).

    Raises:
        ValueError: the box is broken or lies outside the image.
    """
    height, width = image_size
    name = str(target.truth.id)
    if protocol == "box":
        return Box(target.truth.box, id=name).on_image(width, height)
    x, y = deepest_point(target.mask.mask)
    return Points(((target.mask.x + x, target.mask.y + y),), id=name)


def pair_with_askers(
    answers: Sequence[MaskCrop], targets: Sequence[Target]
) -> tuple[Matches, list[float]]:
    """Answers that stand in the order of the truths that asked, and the IoU of each pair."""
    order = np.arange(len(targets))
    ious = [mask_iou(answer, target.mask) for answer, target in zip(answers, targets)]
    return Matches(order, order.copy()), ious


def pair_greedily(
    answers: Sequence[MaskCrop], scores: Sequence[float], targets: Sequence[Target]
) -> tuple[Matches, list[float]]:
    """COCO's rules, names aside; for each truth the IoU with what took it, 0 with nothing."""
    crowd = np.array([target.truth.crowd for target in targets], dtype=bool)
    ious = iou_matrix(answers, [target.mask for target in targets], crowd, min_iou=MIN_IOU)
    matches = match_greedily(ious, np.asarray(scores, dtype=np.float64), crowd, MIN_IOU)
    taken = [float(ious[d, g]) if d >= 0 else 0.0 for g, d in enumerate(matches.detection_of)]
    return matches, taken
