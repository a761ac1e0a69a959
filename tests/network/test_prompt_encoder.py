from __future__ import annotations

import torch

from ovsam_plugin.network.prompt_encoder import PromptBatch, mask_to_logits, rasterize


def test_a_box_is_drawn_where_it_is() -> None:
    drawn = rasterize(PromptBatch(boxes=torch.tensor([[32.0, 64, 96, 80]])), (32, 32), 4)[0]
    inside = drawn[0] > 0.5
    rows, columns = torch.nonzero(inside.any(1)), torch.nonzero(inside.any(0))
    assert (int(columns[0]) * 4, int(columns[-1]) * 4 + 4) == (32, 96)
    assert (int(rows[0]) * 4, int(rows[-1]) * 4 + 4) == (64, 80)
    assert drawn[1, 17, 8] < -0.9
    assert drawn[1, 17, 23] > 0.9
    assert not drawn[4:].any()


def test_positive_and_negative_points_are_drawn_apart() -> None:
    prompts = PromptBatch(
        points=torch.tensor([[[10.0, 20.0], [90.0, 100.0]]]),
        point_labels=torch.tensor([[1.0, 0.0]]),
    )
    drawn = rasterize(prompts, (32, 32), 4)[0]
    assert drawn[4, 5, 2] > 0.9
    assert drawn[4, 25, 22] < 0.01
    assert drawn[6, 25, 22] > 0.9
    assert drawn[6, 5, 2] < 0.01
    assert not drawn[:4].any()


def test_a_mask_prompt_keeps_its_place_and_the_padding_is_off_it() -> None:
    shares = torch.zeros(64, 128)
    shares[:32, 64:] = 1
    logits = mask_to_logits(shares, (128, 128))
    assert logits.shape == (1, 32, 32)
    on = logits[0] > 0
    assert on[:8, 16:].all()
    assert on.sum() == 8 * 16


def test_a_mask_prompt_on_a_photograph_that_is_not_padded_square_has_its_shape() -> None:
    logits = mask_to_logits(torch.ones(60, 120), (64, 128))
    assert logits.shape == (1, 16, 32)
    assert (logits[0, :15, :30] == 10).all()
    assert (logits[0, 15:] == -10).all()
    assert (logits[0, :, 30:] == -10).all()


def test_prompts_are_moved_to_a_device_whole() -> None:
    batch = PromptBatch(boxes=torch.ones(1, 4), masks=torch.ones(1, 1, 8, 8))
    moved = batch.to(torch.device("meta"))
    assert moved.boxes is not None
    assert moved.masks is not None
    assert moved.boxes.is_meta
    assert moved.masks.is_meta
    assert moved.points is None


def test_a_part_of_a_batch_of_prompts_is_that_part() -> None:
    batch = PromptBatch(points=torch.arange(12.0).reshape(3, 2, 2), point_labels=torch.ones(3, 2))
    assert len(batch) == 3
    assert batch[1:].points is not None
    assert batch[1:].points.tolist() == [[[4, 5], [6, 7]], [[8, 9], [10, 11]]]
    assert batch[1:].boxes is None
