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
import numpy.typing as npt

from ovsam_plugin.annotations.masks import deepest_point
from ovsam_plugin.evaluation.ground_truth import Truth
from ovsam_plugin.evaluation.mask_iou import iou_matrix, mask_iou
from ovsam_plugin.evaluation.matching import match_greedily
from ovsam_plugin.images.mask_crop import MaskCrop
from ovsam_plugin.prediction.prompts import Box, Points, Prompt

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
        label: its class, a place in the vocabulary that answers are given in; -1 for one that is
            not evaluated, but may take an answer that is then not held against anyone.
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
    raise ValueError(f"unknown protocol {protocol!r}: choose one of {', '.join(PROTOCOLS)}")


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
        return Box(target.truth.box(image_size), id=name).on_image(width, height)
    x, y = deepest_point(target.mask.mask)
    return Points(((target.mask.x + x, target.mask.y + y),), id=name)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Which of an image's N answers and G truths belong together.

    Attributes:
        target_of: (N,) int64, the truth of each answer; -1 for none.
        answer_of: (G,) int64, the answer of each truth, of a crowd the first; -1 for none.
        iou: (G,) float64, of each truth's mask and its answer's; 0 without one.
    """

    target_of: npt.NDArray[np.int64]
    answer_of: npt.NDArray[np.int64]
    iou: npt.NDArray[np.float64]


def pair_by_asker(
    masks: Sequence[MaskCrop], askers: Sequence[int], targets: Sequence[Target]
) -> Pairs:
    """Each answer with the truth that asked for it.

    Args:
        masks: N answers.
        askers: the place in `targets` of who asked for each; -1 for somebody else. Of two answers
            to one, the first counts.
        targets: G truths.
    """
    target_of = np.array(askers, dtype=np.int64)
    answer_of = np.full(len(targets), -1, dtype=np.int64)
    iou = np.zeros(len(targets))
    for answer, target in enumerate(askers):
        if target >= 0 and answer_of[target] < 0:
            answer_of[target] = answer
            iou[target] = mask_iou(masks[answer], targets[target].mask)
    return Pairs(target_of, answer_of, iou)


def pair_greedily(
    masks: Sequence[MaskCrop],
    scores: npt.NDArray[np.float64],
    targets: Sequence[Target],
    min_iou: float = MIN_IOU,
) -> Pairs:
    """By COCO's rules, names aside."""
    crowd = np.array([target.truth.crowd for target in targets], dtype=bool)
    ious = iou_matrix(masks, [target.mask for target in targets], crowd, min_iou=min_iou)
    matches = match_greedily(ious, scores, crowd, min_iou)
    taken = matches.detection_of
    iou = np.array([ious[d, g] if d >= 0 else 0.0 for g, d in enumerate(taken)])
    return Pairs(matches.truth_of, taken, iou)
