"""A method's answers on image after image, held against the truth and added up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ovsam_plugin.evaluation.metrics import UNNAMED, Outcomes
from ovsam_plugin.evaluation.protocols import Pairs, Target
from ovsam_plugin.images.mask_crop import MaskCrop


@dataclass(frozen=True, eq=False)
class Predicted:
    """A method's N answers on one image.

    Attributes:
        masks: N masks.
        labels: (N,) int64, places in the vocabulary; negative where there is no name or one outside
            the vocabulary, as in `Outcomes.answer`.
        scores: (N,) float64, how sure it is of each.
    """

    masks: Sequence[MaskCrop]
    labels: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]


@dataclass
class Tally:
    """Sums so far.

    Attributes:
        parts: outcomes, one an image.
        rows: answers with a class and a mask as COCO results; ids as in `CocoContent`.
        surplus: answers that took no truth.
    """

    parts: list[Outcomes] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    surplus: int = 0

    def add(
        self,
        answers: Predicted,
        targets: Sequence[Target],
        pairs: Pairs,
        image: int,
        size: tuple[int, int],
    ) -> None:
        """One image.

        Args:
            answers: N answers.
            targets: G truths.
            pairs: of both.
            image: its place among those evaluated.
            size: its (height, width).
        """
        taken = pairs.answer_of
        counts = [target.label >= 0 and not target.truth.crowd for target in targets]
        outcomes = Outcomes(
            truth=np.array([target.label for target in targets], dtype=np.int64),
            answer=np.append(answers.labels, UNNAMED)[taken],
            iou=pairs.iou,
            confidence=np.append(answers.scores, 0.0)[taken],
            area=np.array([target.mask.area for target in targets], dtype=np.int64),
            image=np.full(len(targets), image, dtype=np.int64),
        )
        self.parts.append(outcomes[np.array(counts, dtype=bool)])
        self.surplus += int((pairs.target_of < 0).sum())
        for mask, label, score in zip(answers.masks, answers.labels, answers.scores):
            if mask.area and label >= 0:
                self.rows.append({
                    "image_id": image + 1, "category_id": int(label) + 1, "score": float(score),
                    "segmentation": mask.rle(size),
                })  # fmt: skip

    @property
    def outcomes(self) -> Outcomes:
        """Of all images."""
        return Outcomes.concatenate(self.parts)
