"""What became of answers that nobody asked for: things, doubles, parts, and background."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from ovsam_plugin.evaluation.mask_iou import intersection
from ovsam_plugin.images.mask_crop import MaskCrop

Outcome: TypeAlias = Literal["thing", "double", "part", "background", "crowd"]
# An answer is a part where this share of it lies on one true thing that it does not match.
PART = 0.75


def outcomes(
    answers: Sequence[MaskCrop],
    truths: Sequence[MaskCrop],
    crowds: Sequence[MaskCrop] = (),
    min_iou: float = 0.5,
) -> tuple[list[Outcome], npt.NDArray[np.int64]]:
    """Each answer of one photograph, whatever its name.

    Args:
        answers: the surest first.
        truths: the true things.
        crowds: regions of things that are not told apart; answers mostly on one do not count.
        min_iou: mask IoU from which an answer is a truth's. Each truth has one answer: the first
            that fits no other better; those after it are doubles.

    Returns:
        The outcome of each answer, and (N,) the index of its truth, -1 where it has none.
    """
    taken: set[int] = set()
    found: list[Outcome] = []
    whose = np.full(len(answers), -1, dtype=np.int64)
    for row, answer in enumerate(answers):
        shared = [intersection(answer, truth) for truth in truths]
        ious = [s / max(answer.area + t.area - s, 1) for s, t in zip(shared, truths)]
        fitting = sorted(
            (i for i, iou in enumerate(ious) if iou >= min_iou), key=lambda i: -ious[i]
        )
        free = [i for i in fitting if i not in taken]
        if free:
            whose[row] = free[0]
            taken.add(free[0])
            found.append("thing")
        elif fitting:
            found.append("double")
        elif any(intersection(answer, c) > 0.5 * answer.area for c in crowds):
            found.append("crowd")
        elif max(shared, default=0) > PART * answer.area:
            found.append("part")
        else:
            found.append("background")
    return found, whose
