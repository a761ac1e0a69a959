"""Answers of a few cells, at the size of their photograph."""

from __future__ import annotations

import numpy as np
import torch

from ovsam_plugin.images.frame import Frame
from ovsam_plugin.network.ovsam import Embeddings
from ovsam_plugin.prediction.decoded import Decoded
from ovsam_plugin.prediction.finishing import finished
from ovsam_plugin.prediction.prompts import Box, Mask, Points, Prompt

FRAME = Frame(np.zeros((64, 64, 3), np.uint8), (128, 128))
"""Encoded at half its size."""


def answers(*prompts: Prompt, logit: float = 9.0) -> Decoded:
    """A mask all over the photograph for each prompt."""
    some = torch.arange(len(prompts)) / 10
    return Decoded(
        prompts=prompts,
        logits=torch.full((len(prompts), 16, 16), logit),
        windows=torch.tensor([[0.0, 0, 64, 64]]).repeat(len(prompts), 1),
        boxes=torch.zeros(len(prompts), 4),
        stability=some,
        quality=some,
        thing=some,
        objectness=some,
        embeddings=Embeddings(torch.ones(len(prompts), 3), torch.ones(len(prompts), 3)),
    )


def test_an_answer_to_a_box_is_cut_at_it_where_that_is_asked_for_and_no_other_is() -> None:
    decoded = answers(Box((10, 20, 60, 80)), Points(((5, 5),)))
    for square in (None, 64):
        found = finished(FRAME, decoded, square=square, inside_boxes=True)
        assert found.boxes.tolist() == [[10, 20, 60, 80], [0, 0, 128, 128]]
        assert all(mask.all() for mask in found.masks)
        whole = finished(FRAME, decoded, square=square)
        assert whole.boxes.tolist() == [[0, 0, 128, 128]] * 2
    np.testing.assert_array_equal(found.objectness, decoded.objectness)


def test_a_mask_that_is_given_stays_whatever_the_logits_say() -> None:
    drawn = np.zeros((128, 128), bool)
    drawn[7:9, 30:90] = True
    found = finished(FRAME, answers(Mask(drawn), logit=-9.0), square=None)
    np.testing.assert_array_equal(found.full_mask(0), drawn)


def test_an_answer_without_a_cell_is_empty() -> None:
    found = finished(FRAME, answers(Points(((5, 5),)), logit=-9.0), square=None)
    assert found.empty.tolist() == [True]
    assert found.boxes.tolist() == [[0, 0, 0, 0]]
