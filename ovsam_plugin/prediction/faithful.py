"""The published evaluation to the letter, oddities included; for comparison, never for labelling.

What differs from the default: the encoder's branch pools the *ground-truth* box, so the answer
leaks; mask boxes reach into the padding; a mask counts as empty when a 32 x 32 resize of its logits
has no positive; and probabilities are multiplied before the logarithm, so a row that underflows
becomes NaN and is answered with class 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ovsam_plugin.network.ovsam import OVSAM, Embeddings, Features, mask_boxes
from ovsam_plugin.network.prompt_encoder import PromptBatch
from ovsam_plugin.recognition.fusion import Fusion, with_background
from ovsam_plugin.recognition.synonyms import Synonyms

NO_SPLIT, BASE, NOVEL = 0, 1, 2


@dataclass(frozen=True)
class Reference:
    """Everything the reference computes for N prompts on one image.

    Attributes:
        logits: (N, 1, S/4, S/4) mask logits.
        head_boxes: (N, 4) xyxy in input pixels, pooled by the head.
        embeddings: of both branches, (N, D) each.
        head_logits, clip_logits: (N, K + 1), background last.
        not_empty: (N,) bool by the 32 x 32 rule.
        fused: (N, K + 1) log scores; may hold NaN.
        labels: (N,) int64.
    """

    logits: Tensor
    head_boxes: Tensor
    embeddings: Embeddings
    head_logits: Tensor
    clip_logits: Tensor
    not_empty: Tensor
    fused: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Classes:
    """A text classifier as the reference holds it.

    Attributes:
        rows: (T, D) unit embeddings, one a synonym, those of a class side by side.
        owner: (T,) int64, ascending.
        split: (K,) int64 of `NO_SPLIT`, `BASE`, `NOVEL`; None where no split is used.
    """

    rows: Tensor
    owner: Tensor
    split: Tensor | None


@torch.inference_mode()
def answer(
    network: OVSAM,
    features: Features,
    prompts: PromptBatch,
    truth_boxes: Tensor,
    classes: Classes,
    fusion: Fusion,
    *,
    box_from_mask: bool = True,
) -> Reference:
    """Masks and names as the reference gives them.

    Args:
        network: in evaluation mode.
        features: of one image.
        prompts: N prompts in pixels of the resized image.
        truth_boxes: (N, 4) xyxy, the ground truth's boxes that the encoder's branch pools; also
            the head's with `box_from_mask` False. In the published point configurations they are
            in original pixels, though the features are not.
        classes: K classes.
        fusion: weights of base classes (`seen_weight`) and of novel ones.
        box_from_mask: pool the head's region at the predicted mask's box.
    """
    logits = network.decode(features, prompts)
    head_boxes = truth_boxes
    if box_from_mask:
        head_boxes = mask_boxes(logits[:, 0].sigmoid() > 0.5).to(truth_boxes.dtype) * 4
    embeddings = network.embed(features, head_boxes, truth_boxes)
    synonyms = Synonyms(classes.rows, classes.owner)
    head_logits, clip_logits = (
        with_background(synonyms.nearest(e), scale)
        for e, scale in zip(embeddings, (fusion.head_scale, fusion.clip_scale))
    )
    not_empty = covers_coarse_grid(logits)
    fused = fuse(head_logits, clip_logits, not_empty, classes.split, fusion)
    labels = fused.softmax(-1)[:, :-1].argmax(-1)
    return Reference(
        logits, head_boxes, embeddings, head_logits, clip_logits, not_empty, fused, labels
    )


def covers_coarse_grid(logits: Tensor) -> Tensor:
    """(N, 1, h, w) mask logits -> (N,) bool: a 32 x 32 bilinear resize has a positive."""
    coarse = F.interpolate(logits, size=(32, 32), mode="bilinear", align_corners=False)
    return (coarse > 0).flatten(1).any(1)


def fuse(
    head_logits: Tensor,
    clip_logits: Tensor,
    not_empty: Tensor,
    split: Tensor | None,
    fusion: Fusion,
) -> Tensor:
    """log(q^(1 - w) c^w) from plain probabilities, NaN and all.

    Args:
        head_logits, clip_logits: (N, K + 1), background last.
        not_empty: (N,) bool.
        split: (K,) int64, or None where every class takes the unseen weight.
        fusion: weights.

    Returns:
        (N, K + 1).
    """
    head, clip = head_logits.softmax(-1), clip_logits.softmax(-1)
    on = not_empty[:, None].to(head.dtype)

    def mixed(weight: float) -> Tensor:
        return (head ** (1 - weight * on) * clip ** (weight * on)).log()

    base = torch.zeros(head.shape[1], device=head.device)
    base[-1] = 1
    if split is not None:
        base[:-1][split == BASE] = 1
    fused = mixed(fusion.seen_weight) * base + mixed(fusion.unseen_weight) * (1 - base)
    if split is not None:
        fused[:, :-1][:, split == NO_SPLIT] = -1000.0
    return fused
