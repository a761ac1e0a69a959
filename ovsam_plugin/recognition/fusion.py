"""How the scores of the two branches become one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # presets are read by forms, without torch
    from torch import Tensor


@dataclass(frozen=True)
class Fusion:
    """How the two branches' probabilities become one (paper, section 3.3).

    The fused score is q^(1 - w) c^w, with q the head's and c the frozen encoder's probability.

    Attributes:
        seen_weight: w of classes that the head was trained on, and of the background.
        unseen_weight: w of all others.
        head_scale, clip_scale: what cosines are multiplied by before each softmax.
    """

    seen_weight: float = 0.1
    unseen_weight: float = 0.9
    head_scale: float = float(np.exp(np.float32(4.6052)))
    clip_scale: float = float(np.exp(np.float32(4.6052)))


def with_background(cosines: Tensor, scale: float) -> Tensor:
    """(N, K) cosines -> (N, K + 1) logits; the background is last and its logit is 0."""
    from torch.nn.functional import pad

    return pad(cosines * scale, (0, 1))


def fuse(
    head_logits: Tensor, clip_logits: Tensor, seen: Tensor, empty: Tensor, fusion: Fusion
) -> Tensor:
    """The fused log scores, computed in log space so that nothing underflows.

    Args:
        head_logits, clip_logits: (N, K + 1), background last.
        seen: (K,) bool, classes that the head was trained on.
        empty: (N,) bool, masks without a pixel, for which the head alone counts.
        fusion: weights.

    Returns:
        (N, K + 1), not normalised.
    """
    import torch

    weight = torch.where(seen, fusion.seen_weight, fusion.unseen_weight)
    weight = torch.nn.functional.pad(weight, (0, 1), value=fusion.seen_weight)
    weight = weight * (~empty)[:, None]
    return (1 - weight) * head_logits.log_softmax(-1) + weight * clip_logits.log_softmax(-1)
