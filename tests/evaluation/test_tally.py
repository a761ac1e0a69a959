"""What of an image's answers is counted, and what is handed on for average precision."""

from __future__ import annotations

import numpy as np
import pytest

from ovsam_plugin.evaluation.ground_truth import Truth
from ovsam_plugin.evaluation.mask_iou import MaskCrop
from ovsam_plugin.evaluation.protocols import Target, pair_by_asker
from ovsam_plugin.evaluation.tally import Predicted, Tally

SIZE = (20, 30)
SOLID = MaskCrop.at(np.ones((4, 5), dtype=bool), 3, 2)
EMPTY = MaskCrop.at(np.zeros((4, 5), dtype=bool), 3, 2)


def counted(masks: list[MaskCrop], labels: list[int], crowd: tuple[int, ...] = ()) -> Tally:
    """Predicted to as many truths, all of class 1."""
    targets = [Target(Truth(i, 1, i in crowd), SOLID, 1) for i in range(len(masks))]
    answers = Predicted(masks, np.array(labels, dtype=np.int64), np.full(len(masks), 0.5))
    tally = Tally()
    tally.add(answers, targets, pair_by_asker(masks, range(len(masks)), targets), 7, SIZE)
    return tally


@pytest.mark.parametrize(
    ("masks", "labels", "rows"),
    [
        ([SOLID], [1], 1),
        ([EMPTY], [1], 0),
        ([SOLID], [-1], 0),
        ([EMPTY, SOLID, EMPTY, SOLID], [1, 0, 0, -1], 1),
    ],
)
def test_an_empty_mask_is_no_result_and_an_answer_all_the_same(
    masks: list[MaskCrop], labels: list[int], rows: int
) -> None:
    tally = counted(masks, labels)
    assert len(tally.rows) == rows
    assert tally.outcomes.answer.tolist() == labels
    assert tally.outcomes.iou.tolist() == [float(mask.area > 0) for mask in masks]


def test_a_result_is_of_its_image_and_its_class() -> None:
    (row,) = counted([SOLID], [0]).rows
    assert (row["image_id"], row["category_id"], row["score"]) == (8, 1, 0.5)
    assert row["segmentation"]["size"] == list(SIZE)


def test_what_a_crowd_is_answered_with_is_not_counted() -> None:
    assert counted([SOLID, SOLID], [1, 0], crowd=(0,)).outcomes.answer.tolist() == [0]
