"""What the region head is asked."""

from __future__ import annotations

import pytest
import torch

from ovsam_plugin.network.objectness import LEVELS
from ovsam_plugin.network.prompt_encoder import PromptBatch
from ovsam_plugin.training.data import UNKNOWN_CLASS
from ovsam_plugin.training.queries import Queries
from tests.training.small import rectangle_crop

CROP = rectangle_crop((4, 4, 40, 40), (30, 30, 60, 60))


def test_of_the_guesses_for_a_point_only_the_best_near_one_is_taught_to_draw() -> None:
    truth = torch.tensor([[0.0, 0, 20, 20]])
    near, far = truth[0], torch.tensor([40.0, 40, 60, 60])
    n = 1 + 2 * len(LEVELS)
    asked = Queries(
        index=torch.zeros(n),
        boxes=torch.stack([far, near, near, near, far, near, near]),
        masks=torch.zeros(n, 64, 64, dtype=torch.bool),
        truth=truth.expand(n, -1),
        prompts=PromptBatch(),
        coarse=None,
        guess=torch.tensor([False] + [True] * 6),
        found=torch.zeros(n, dtype=torch.bool),
        named=torch.ones(n, dtype=torch.bool),
        unknown=torch.zeros(n),
    )
    iou = torch.tensor([0.0, 0.2, 0.9, 0.3, 0.8, 0.7, 0.1])
    # Of the second point the best answer is from a box far off, and no other is taken in its place.
    assert asked.taught(iou).tolist() == [True, False, True, False, False, False, False]


def test_what_is_asked_of_several_crops_is_put_together_in_order() -> None:
    which = torch.tensor([1, 0])
    points = PromptBatch(points=torch.ones(2, 1, 2), point_labels=torch.ones(2, 1))
    coarse = torch.ones(2, 1, 16, 16)
    parts = [
        Queries.of(0, CROP, which, CROP.boxes[which], points, coarse),
        Queries.of(1, CROP, which[:1], CROP.boxes[:1], kind="guess"),
    ]
    both = Queries.concatenate(parts, 64)
    assert both.index.tolist() == [0, 0, 1]
    assert torch.equal(both.truth, CROP.boxes[[1, 0, 1]])
    assert torch.equal(both.masks, CROP.masks[[1, 0, 1]])
    assert both.guess.tolist() == [False, False, True]
    assert not both.found.any()
    assert both.named.all()
    assert not both.unknown.any()
    assert both.coarse is not None
    assert both.coarse.sum((1, 2, 3)).tolist() == [256, 256, 0]
    assert both.prompts.point_labels is not None
    assert both.prompts.point_labels.tolist() == [[1, -1, -1], [1, -1, -1], [-1, -1, -1]]


# Of the things of a crop, what is asked about each in `judged_of`.
REGION = rectangle_crop(
    (4, 4, 24, 24), (30, 30, 60, 60), classes=[3, UNKNOWN_CLASS], unknown=(0, 40, 28, 64)
)


def test_proposals_are_taught_to_draw_the_thing_that_they_are_near() -> None:
    boxes = torch.tensor([[4.0, 4, 24, 22], [4, 4, 24, 12], [2, 42, 18, 62]])
    found = Queries.of(0, REGION, torch.zeros(3, dtype=torch.int64), boxes, kind="found")
    assert found.found.all()
    assert not found.guess.any()
    assert Queries.concatenate([found], 64).taught(torch.zeros(3)).tolist() == [
        True,
        False,
        False,
    ]


def test_it_is_judged_whether_an_answer_is_a_thing_where_that_is_known() -> None:
    of = torch.tensor
    thing, region, off, hidden = (
        of([4.0, 4, 24, 24]), of([30.0, 30, 60, 60]), of([40.0, 2, 60, 16]), of([2.0, 42, 18, 62])
    )  # fmt: skip
    asked = Queries.concatenate(
        [
            Queries.of(0, REGION, of([0]), thing[None]),
            Queries.of(0, REGION, of([0, 0, 0]), torch.stack([thing] * 3), kind="guess"),
            Queries.of(0, REGION, of([0, 0, 0]), torch.stack([thing, off, hidden]), kind="found"),
            Queries.of(0, REGION, of([1]), region[None], kind="found"),
        ],
        64,
    )
    low, _ = asked.judged(torch.zeros(8))
    # Neither guesses for a point, nor what lies where things may be, nor regions without a name.
    assert low.tolist() == [True, *[False] * 3, True, True, False, False]
    high, _ = asked.judged(torch.full((8,), 0.5))
    # What fits a thing is one wherever it lies.
    assert high.tolist() == [True, *[False] * 3, True, True, True, False]


def test_an_answer_is_surely_a_thing_from_an_iou_of_six_tenths_on() -> None:
    which = torch.zeros(5, dtype=torch.int64)
    asked = Queries.of(0, REGION, which, REGION.boxes[which], kind="found")
    _, whole = asked.judged(torch.tensor([0.0, 0.4, 0.5, 0.6, 0.9]))
    assert whole.tolist() == pytest.approx([0, 0, 0.5, 1, 1], abs=1e-6)
