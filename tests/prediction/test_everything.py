from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ovsam_plugin.network.objectness import Proposals
from ovsam_plugin.network.ovsam import Embeddings, mask_boxes
from ovsam_plugin.prediction.choosing import overlaps
from ovsam_plugin.prediction.decoded import Decoded
from ovsam_plugin.prediction.everything import (
    DRAWN_FOR_ALL,
    MOST,
    MOST_DRAWN,
    PROPOSAL_OVERLAP,
    SAME,
    _answers,
    _boxes_from_points,
    _boxes_from_proposals,
    find_everything,
)
from ovsam_plugin.prediction.judge import RIVAL, Judge
from ovsam_plugin.prediction.predictor import Encoding, Predictor, load_predictor
from ovsam_plugin.prediction.prompts import Box, Grid, Points, Prompt
from ovsam_plugin.prediction.proposing import LARGE, proposals_of_all_sizes


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return load_predictor("ovsam-lite", device="cpu")


@pytest.fixture(scope="module")
def coffee() -> np.ndarray:
    from skimage import data

    return data.coffee()


@pytest.fixture(scope="module")
def encoding(predictor: Predictor, coffee: np.ndarray) -> Encoding:
    return predictor.encode([predictor.preprocess(coffee)])[0]


@pytest.mark.parametrize("grid", [None, Grid(5)])
def test_candidates_are_distinct_and_the_surest_come_first(
    predictor: Predictor, encoding: Encoding, grid: Grid | None
) -> None:
    found, masks = find_everything(predictor, encoding, grid)
    assert 1 <= len(found.prompts) == len(masks) <= MOST
    assert torch.equal(found.objectness, found.objectness.sort(descending=True).values)
    assert ((found.objectness > 0) & (found.objectness < 1)).all()
    h, w = encoding.frame.size
    assert masks.shape[1:] == (math.ceil(h / 4), math.ceil(w / 4))
    assert overlaps(masks).iou.fill_diagonal_(0).max() <= SAME
    assert torch.equal(masks, found.on_grid(encoding.frame.size, 4))
    for embeddings in found.embeddings:
        torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(len(masks)))
    instances = predictor.finish(encoding, found)
    np.testing.assert_array_equal(instances.objectness, found.objectness.numpy())
    for i in range(min(len(instances), 5)):
        assert instances.full_mask(i).shape == (400, 600)


def test_the_objectness_of_an_answer_is_of_its_own_proposal_whatever_the_chunks(
    predictor: Predictor, encoding: Encoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How likely a box was is its answer's objectness, and some boxes have no answer."""
    by_proposal = replace(predictor.preset, found=Judge(likely=1.0))
    monkeypatch.setattr(predictor, "preset", by_proposal)
    proposals = proposals_of_all_sizes(predictor, encoding)
    assert proposals is not None
    boxes, likely = _boxes_from_proposals(encoding, proposals, MOST_DRAWN)
    of_box = {b.on_image(600, 400).xyxy: float(value) for b, value in zip(boxes, likely)}
    assert len(of_box) == len(boxes) > 20
    whole, _ = find_everything(predictor, encoding)
    parts, masks = find_everything(predictor, encoding, chunk=3)
    assert [p.xyxy for p in parts.prompts if isinstance(p, Box)] == [
        p.xyxy for p in whole.prompts if isinstance(p, Box)
    ]
    for found in (whole, parts):
        expected = [of_box[p.xyxy] for p in found.prompts if isinstance(p, Box)]
        assert len(expected) == len(masks)
        assert found.objectness.tolist() == pytest.approx(expected, abs=1e-4)


def test_answers_are_looked_at_in_chunks_and_told_apart_by_their_prompts(
    predictor: Predictor, encoding: Encoding
) -> None:
    """Some are specks, in the first chunk as in later ones."""
    sides = [(30, 70) if i % 3 else (1, 1) for i in range(10)]
    boxes = [Box((40.0 * i, 20, 40.0 * i + w, 20.0 + h)) for i, (w, h) in enumerate(sides)]
    answers, asked = _answers(predictor, encoding, boxes, chunk=4)
    assert answers.prompts == tuple(boxes[i] for i in asked.tolist())
    assert len(asked) < len(boxes)
    assert not {0, 3, 6, 9} & set(asked.tolist())
    assert asked.max() >= 7
    # Embeddings are computed for what is kept at last.
    assert not answers.embeddings.head.any()


def test_proposals_lie_on_the_photograph(
    predictor: Predictor, encoding: Encoding, coffee: np.ndarray
) -> None:
    proposals = predictor.proposals(encoding)
    assert proposals is not None
    height, width = encoding.frame.size
    assert proposals.boxes.amin() >= 0
    assert proposals.boxes[..., 0::2].amax() <= width
    assert proposals.boxes[..., 1::2].amax() <= height
    boxes, likely = _boxes_from_proposals(encoding, proposals, MOST_DRAWN)
    assert len(boxes) == len(likely) <= MOST_DRAWN
    shape = coffee.shape
    for box in boxes:
        assert box.xyxy == pytest.approx(box.on_image(shape[1], shape[0]).xyxy, abs=1e-3)


def test_large_things_are_looked_for_in_a_smaller_picture_too(
    predictor: Predictor, encoding: Encoding
) -> None:
    near, both = predictor.proposals(encoding), proposals_of_all_sizes(predictor, encoding)
    assert near is not None
    assert both is not None
    count = near.logits.shape[1]
    for one, other in zip(near, both):
        assert torch.equal(one, other[:, :count])
    more = both.boxes[0, count:]
    height, width = encoding.frame.size
    assert len(more) == both.logits.shape[1] - count > 0
    assert ((more[:, 2:] - more[:, :2]).amax(1) >= LARGE * width).all()
    assert more.amin() >= 0
    assert (more[:, 2:] <= torch.tensor([width, height])).all()
    # The cup's saucer with the cup, by its place on the photograph.
    likeliest = more[both.logits[0, count:].argmax()] / float(encoding.frame.scale[0])
    assert 200 < float(likeliest[[0, 2]].mean()) < 400
    without = replace(predictor.preset, far=0.0)
    plain = Predictor(predictor.network, without, predictor.weights_hash, predictor.precision)
    again = proposals_of_all_sizes(plain, encoding)
    assert again is not None
    assert torch.equal(again.logits, near.logits)


def test_of_proposals_the_likely_ones_that_differ_are_drawn_at_their_place(
    predictor: Predictor, encoding: Encoding
) -> None:
    scale = float(encoding.frame.scale[0])
    place = torch.tensor([[60.0, 60, 120, 120], [62, 60, 122, 120], [200, 60, 280, 140],
                          [300, 10, 301, 90], [20, 20, 50, 50]])  # fmt: skip
    logits = torch.tensor([[1.0, 2, 0, 3, -9]])
    boxes, likely = _boxes_from_proposals(encoding, Proposals(logits, place[None]), MOST_DRAWN)
    # The first is the second again, the fourth has no width and the fifth is no thing.
    assert likely.tolist() == pytest.approx([0.8808, 0.5], abs=1e-4)
    for box, expected in zip(boxes, place[[1, 2]] / scale):
        assert box.xyxy == pytest.approx(expected.tolist(), abs=0.5)
    assert PROPOSAL_OVERLAP < 0.9


class HalfAndHalf:
    """Answers a point on the left half of a photograph with that half, all others with the bottom
    quarter of the right one, but for a few that it answers with a speck."""

    def __init__(self, predictor: Predictor, specks: bool = False) -> None:
        self.nothing = predictor.nothing
        self.specks = specks

    def decode_chunks(
        self, encoding: Encoding, prompts: Sequence[Prompt], chunk: int, embed: bool
    ) -> Iterator[tuple[list[int], Decoded]]:
        height, width = encoding.frame.original_size
        h, w = encoding.frame.size
        for start in range(0, len(prompts), chunk):
            part = prompts[start : start + chunk]
            logits = torch.full((len(part), 56, 56), -5.0)
            for row, prompt in zip(logits, part):
                assert isinstance(prompt, Points)
                x, y = prompt.xy[0]
                if self.specks:
                    row[0, 0] = 5
                elif x < width / 2:
                    row[:, :28] = 5
                elif y > height / 2:
                    row[28:, 28:] = 5
                else:
                    row[10, 40] = 5
            n, dim = len(part), 384
            ones = torch.ones(n)
            # A pixel of the whole photograph is no speck yet.
            specks = (logits > 0).sum((1, 2)) == 1
            window = torch.tensor([[0.0, 0, w, h]]) / (1 + specks.float())[:, None]
            boxes = mask_boxes(logits > 0) * window[:, [2, 3, 2, 3]] / 56
            embeddings = Embeddings(torch.zeros(n, dim), torch.zeros(n, dim))
            answers = Decoded(
                tuple(part), logits, window, boxes, ones, ones, ones, ones, embeddings
            )
            yield list(range(start, start + len(part))), answers


def test_points_agree_as_often_as_those_on_a_thing_are_answered_by_it(
    predictor: Predictor, encoding: Encoding
) -> None:
    """Every point on the two things is, and those on neither are left out as specks."""
    fake: Any = HalfAndHalf(predictor)
    boxes, agreement = _boxes_from_points(fake, encoding, Grid(8), 5)
    found = {tuple(round(v) for v in box.xyxy): a for box, a in zip(boxes, agreement.tolist())}
    assert set(found) == {(0, 0, 300, 400), (300, 200, 600, 400)}
    assert found[0, 0, 300, 400] == pytest.approx(1, abs=0.05)
    assert found[300, 200, 600, 400] == pytest.approx(1, abs=0.3)


def test_points_that_find_nothing_are_no_failure(predictor: Predictor, encoding: Encoding) -> None:
    fake: Any = HalfAndHalf(predictor, specks=True)
    boxes, agreement = _boxes_from_points(fake, encoding, Grid(4), 5)
    assert boxes == []
    assert agreement.shape == (0,)


@pytest.mark.parametrize("shape", [(1, 1), (2, 400)])
@pytest.mark.parametrize("grid", [None, Grid(3)])
def test_a_photograph_with_nothing_on_it_has_no_candidate_or_a_sound_one(
    predictor: Predictor, shape: tuple[int, int], grid: Grid | None
) -> None:
    image = np.zeros((*shape, 3), dtype=np.uint8)
    (encoding,) = predictor.encode([predictor.preprocess(image)])
    found, masks = find_everything(predictor, encoding, grid)
    assert len(found.prompts) == len(masks)
    instances = predictor.finish(encoding, found)
    assert all(instances.full_mask(i).shape == shape for i in range(len(instances)))


def test_who_wants_all_candidates_has_more_of_them(
    predictor: Predictor, encoding: Encoding
) -> None:
    few, _ = find_everything(predictor, encoding, drawn=5)
    many, _ = find_everything(predictor, encoding, drawn=DRAWN_FOR_ALL)
    assert 1 <= len(few.prompts) <= 5 < len(many.prompts) <= MOST


def test_of_answers_that_show_much_the_same_the_less_sure_one_is_hardly_a_thing(
    predictor: Predictor, encoding: Encoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Judged alone and beside each other: nothing becomes surer, and rivals less so."""
    judge = predictor.preset.found
    assert judge.rival > 0
    beside, masks = find_everything(predictor, encoding)
    monkeypatch.setattr(
        predictor, "preset", replace(predictor.preset, found=replace(judge, rival=0))
    )
    alone, _ = find_everything(predictor, encoding)
    before = dict(zip(alone.prompts, alone.objectness.tolist()))
    after = dict(zip(beside.prompts, beside.objectness.tolist()))
    assert before.keys() == after.keys()
    iou = overlaps(masks).iou.fill_diagonal_(0)
    rivals = [
        any(before[q] > before[p] for q, over in zip(beside.prompts, row) if over > RIVAL)
        for p, row in zip(beside.prompts, iou.tolist())
    ]
    assert True in rivals
    assert False in rivals
    for prompt, has_rival in zip(beside.prompts, rivals):
        if has_rival:
            assert after[prompt] < before[prompt]
        else:
            assert after[prompt] == pytest.approx(before[prompt], abs=1e-5)
