"""From what is known of an answer to how surely it is one whole thing, well cut out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # presets are read by forms, without torch
    from torch import Tensor

# IoU above which two answers show much the same.
RIVAL = 0.4
# Probabilities of exactly 0 and 1 have no logit.
_EDGE = 1e-4


@dataclass(frozen=True, kw_only=True)
class Judge:
    """A logistic regression over the evidence that there is.

    The weights are fitted on photographs kept for choosing (`benchmarks/choosing.py`), so that of
    the answers at 0.7 about 70 % are things.

    Attributes:
        bias: what is added.
        thing: weight of the region head's opinion, in logits.
        quality: of the IoU that the mask is expected to have, in logits.
        likely: of the proposal's own score, in logits.
        stability: of the mask's stability, in logits.
        agreement: of the share of the points on the mask that were answered by it.
        foreground: of the head's probability that it is a thing of any name at all, in logits.
        rival: how much less likely an answer is for each logit by which the surest one that shows
            much the same is surer.
    """

    bias: float = 0.0
    thing: float = 0.0
    quality: float = 0.0
    likely: float = 0.0
    stability: float = 0.0
    agreement: float = 0.0
    foreground: float = 0.0
    rival: float = 0.0

    def __call__(
        self,
        *,
        thing: Tensor | None = None,
        quality: Tensor | None = None,
        likely: Tensor | None = None,
        stability: Tensor | None = None,
        agreement: Tensor | None = None,
    ) -> Tensor:
        """(N,) float32 in 0..1 from (N,) probabilities; what is not known says nothing."""
        total: Tensor | float = self.bias
        for weight, evidence in (
            (self.thing, thing),
            (self.quality, quality),
            (self.likely, likely),
            (self.stability, stability),
        ):
            if weight and evidence is not None:
                total = total + weight * logit(evidence)
        if self.agreement and agreement is not None:
            total = total + self.agreement * agreement
        if isinstance(total, float):
            import torch

            some = next(e for e in (thing, quality, likely, stability, agreement) if e is not None)
            total = torch.full_like(some, total, dtype=torch.float32)
        return total.sigmoid().float()

    def beside(self, objectness: Tensor, iou: Tensor) -> Tensor:
        """(N,) objectness once the other answers are known: of two that show much the same, one is
        less surely the thing.

        Args:
            objectness: (N,) of each alone.
            iou: (N, N) of their masks.
        """
        if not self.rival:
            return objectness
        alone = logit(objectness)
        return (alone - self.rival * surer_rival(alone, iou)).sigmoid()

    def with_names(self, objectness: Tensor, background: Tensor) -> Tensor:
        """(N,) objectness once it is known how likely each is a thing of no name at all."""
        if not self.foreground:
            return objectness
        return (logit(objectness) + self.foreground * logit(1 - background)).sigmoid()


# Where no head says what is a thing. The published weights were not at hand to fit it: SAM's own
# threshold of stability, 0.95, comes out at 0.5 where half the points agree.
BY_STABILITY = Judge(bias=-3.9, stability=1.0, agreement=2.0, foreground=0.5)


def surer_rival(alone: Tensor, iou: Tensor) -> Tensor:
    """(N,) by how many logits the surest answer that shows much the same is surer; 0 of the surest.

    Args:
        alone: (N,) logits of each by itself.
        iou: (N, N) of their masks.
    """
    others = alone.where(iou > RIVAL, alone[:, None])
    return others.amax(1) - alone if len(alone) else alone


def logit(probability: Tensor) -> Tensor:
    """Log odds, in float32."""
    return probability.float().clamp(_EDGE, 1 - _EDGE).logit()
