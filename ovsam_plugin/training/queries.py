"""What the region head is asked about while it is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ovsam_plugin.network.objectness import LEVELS
from ovsam_plugin.network.prompt_encoder import PromptBatch
from ovsam_plugin.training.crops import Crop
from ovsam_plugin.training.data import UNKNOWN_CLASS
from ovsam_plugin.training.losses import box_iou_paired
from ovsam_plugin.training.proposals import share_inside


@dataclass(frozen=True, eq=False)
class Queries:
    """Boxes that the region head is asked about, and what it should draw.

    Attributes:
        index: (N,) which crop of the batch.
        boxes: (N, 4) xyxy in input pixels.
        masks: (N, S, S) bool, the truth.
        truth: (N, 4) the truth's own boxes.
        prompts: points and labels of N prompts, (N, 3, ...); a label of -1 is no point.
        coarse: (N, 1, S/4, S/4) logits to refine, zeros where there are none.
        guess: (N,) bool, a proposal for a point, in rows of one a level.
        found: (N,) bool, a proposal that nobody asked for; its truth is the thing that it overlaps
            most, if only a little.
        named: (N,) bool, the truth is a thing with a class, and not any region.
        unknown: (N,) float32, the share of each box where things may be that no mask shows.
    """

    index: Tensor
    boxes: Tensor
    masks: Tensor
    truth: Tensor
    prompts: PromptBatch
    coarse: Tensor | None
    guess: Tensor
    found: Tensor
    named: Tensor
    unknown: Tensor

    @classmethod
    def of(
        cls,
        index: int,
        crop: Crop,
        which: Tensor,
        boxes: Tensor,
        prompts: PromptBatch | None = None,
        coarse: Tensor | None = None,
        kind: Literal["asked", "guess", "found"] = "asked",
    ) -> Queries:
        """About some instances of one crop."""
        n = len(which)
        xy, labels = boxes.new_zeros((n, 3, 2)), boxes.new_full((n, 3), -1)
        if prompts is not None and prompts.points is not None:
            assert prompts.point_labels is not None
            count = prompts.points.shape[1]
            xy[:, :count], labels[:, :count] = prompts.points, prompts.point_labels
        return cls(
            index=torch.full((n,), index, device=boxes.device),
            boxes=boxes,
            masks=crop.masks[which],
            truth=crop.boxes[which],
            prompts=PromptBatch(points=xy, point_labels=labels),
            coarse=coarse,
            guess=torch.full((n,), kind == "guess", device=boxes.device),
            found=torch.full((n,), kind == "found", device=boxes.device),
            named=crop.classes[which] != UNKNOWN_CLASS,
            unknown=share_inside(crop.unknown, boxes),
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Queries], size: int) -> Queries:
        """All of them, as one."""
        points = [p.prompts.points for p in parts if p.prompts.points is not None]
        labels = [p.prompts.point_labels for p in parts if p.prompts.point_labels is not None]
        cells = size // 4
        return cls(
            index=torch.cat([p.index for p in parts]),
            boxes=torch.cat([p.boxes for p in parts]),
            masks=torch.cat([p.masks for p in parts]),
            truth=torch.cat([p.truth for p in parts]),
            prompts=PromptBatch(points=torch.cat(points), point_labels=torch.cat(labels)),
            coarse=torch.cat(
                [
                    p.boxes.new_zeros((len(p.boxes), 1, cells, cells))
                    if p.coarse is None
                    else p.coarse
                    for p in parts
                ]
            ),
            guess=torch.cat([p.guess for p in parts]),
            found=torch.cat([p.found for p in parts]),
            named=torch.cat([p.named for p in parts]),
            unknown=torch.cat([p.unknown for p in parts]),
        )

    def taught(self, iou: Tensor) -> Tensor:
        """Which answers are taught to draw: of the guesses for a point only the best, as SAM's
        several masks are, and that and proposals only where the box is near the thing.

        Args:
            iou: (N,) of the answers.

        Returns:
            (N,) bool.
        """
        rows = iou[self.guess].view(-1, len(LEVELS))
        best = F.one_hot(rows.argmax(1), len(LEVELS)).bool().flatten()
        near = box_iou_paired(self.boxes, self.truth)
        taught = ~self.guess & ~self.found | self.found & (near > 0.5)
        taught[self.guess] = best & (near[self.guess] > 0.3)
        return taught

    def judged(self, iou: Tensor) -> tuple[Tensor, Tensor]:
        """Of which answers it is known whether they are a whole thing, and whether they are.

        Where not all things are annotated, an answer that fits no annotation may still be one.

        Args:
            iou: (N,) of the answers.

        Returns:
            (N,) bool, and (N,) float32 in 0..1: surely at an IoU of 0.6, surely not at 0.4.
        """
        whole = ((iou - 0.4) / 0.2).clamp(0, 1)
        # A guess for a point may well be another thing than the one that was meant.
        judged = self.named & ~self.guess & ((iou >= 0.5) | (self.unknown < 0.3))
        return judged, whole
