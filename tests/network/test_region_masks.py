from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ovsam_plugin.network.feature_pyramid import STRIDES
from ovsam_plugin.network.ovsam import OVSAM
from ovsam_plugin.network.prompt_encoder import PromptBatch
from ovsam_plugin.network.region_masks import (
    BINS,
    FINE,
    GROWTH,
    RegionFeatures,
    RegionMaskHead,
    windows,
)
from ovsam_plugin.presets import get_preset

DESCRIPTION = get_preset("ovsam-lite").network
BOXES = torch.tensor([[10.0, 20, 50, 60], [0, 0, 128, 128], [100, 30, 104, 33]])


def head() -> RegionMaskHead:
    torch.manual_seed(0)
    return RegionMaskHead(DESCRIPTION).eval()


def features(of: RegionMaskHead, batch: int = 1) -> RegionFeatures:
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(batch, DESCRIPTION.channels, 8, 8, generator=generator)
    pyramid = [
        torch.randn(batch, DESCRIPTION.fpn_channels, 128 // s, 128 // s, generator=generator)
        for s in (4, 8, 16, 32)
    ]
    return of.project(image, pyramid)


def bins(box: Tensor) -> tuple[Tensor, Tensor]:
    """The middles of a box's window's bins, x and y in input pixels."""
    x1, y1, x2, y2 = windows(box[None])[0]
    share = (torch.arange(BINS) + 0.5) / BINS
    return x1 + share * (x2 - x1), y1 + share * (y2 - y1)


def test_a_window_is_its_box_grown_about_the_same_middle() -> None:
    found = windows(torch.tensor([[10.0, 20, 50, 40], [7, 7, 7, 7]]))
    torch.testing.assert_close(found[0], torch.tensor([30 - 26.0, 30 - 13, 30 + 26, 30 + 13]))
    # A box without a size has a window all the same.
    torch.testing.assert_close(found[1], torch.tensor([6.35, 6.35, 7.65, 7.65]))


@torch.inference_mode()
def test_every_box_gets_a_mask_and_two_scores_the_same_beside_others_as_alone() -> None:
    of = head()
    maps = features(of)
    drawn = of(maps, BOXES)
    assert drawn.logits.shape == (3, 2 * BINS, 2 * BINS)
    assert drawn.quality.shape == drawn.thing.shape == (3,)
    assert all(values.dtype == torch.float32 for values in drawn)
    assert not torch.equal(drawn.quality, drawn.thing)
    for i in range(3):
        for alone, together in zip(of(maps, BOXES[i : i + 1]), drawn):
            torch.testing.assert_close(alone[0], together[i], atol=1e-4, rtol=1e-4)


def test_scores_judge_a_mask_and_do_not_draw_it() -> None:
    of = head()
    drawn = of.draw(
        torch.randn(2, DESCRIPTION.region_width, BINS, BINS), torch.randn(2, FINE, 56, 56)
    )
    (drawn.quality + drawn.thing).sum().backward()
    assert of.output.weight.grad is None
    assert of.edge.weight.grad is None
    assert of.context[0].weight.grad is not None


@torch.inference_mode()
def test_scores_read_the_inside_of_the_mask_apart_from_all_of_the_window() -> None:
    """The same windows, in which another half is taken for the mask."""
    of = head()
    regions = torch.randn(1, DESCRIPTION.region_width, BINS, BINS)
    regions[..., : BINS // 2] += 2
    half = torch.full((1, FINE, 2 * BINS, 2 * BINS), -50.0)
    scores = []
    for side in (slice(0, BINS), slice(BINS, None)):
        details = half.clone()
        details[..., side] = 50
        torch.nn.init.ones_(of.output.weight)
        torch.nn.init.constant_(of.output.bias, -100)
        drawn = of.draw(regions, details)
        assert (drawn.logits > 0).float().mean() == pytest.approx(0.5, abs=0.05)
        scores.append(torch.stack([drawn.quality, drawn.thing]))
    assert (scores[0] - scores[1]).abs().min() > 1e-3


# Sides of boxes, and the levels that their windows are read from: of the pyramid, and of the
# details, which are one level finer where there is one.
READ = ((40, 0, 0), (80, 0, 0), (100, 1, 0), (160, 1, 0), (200, 2, 1), (340, 2, 1), (400, 3, 2))


@pytest.mark.parametrize(("side", "level", "detail"), READ)
def test_a_box_is_read_from_the_level_of_its_window_and_its_edges_from_the_next_finer(
    side: int, level: int, detail: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = head()
    torch.nn.init.zeros_(of.from_prompt.weight)
    torch.nn.init.zeros_(of.from_prompt.bias)
    width = DESCRIPTION.region_width
    maps = RegionFeatures(
        torch.zeros(1, width, 40, 40),
        [torch.full((1, width, 640 // s, 640 // s), float(i)) for i, s in enumerate(STRIDES)],
        [torch.full((1, FINE, 640 // s, 640 // s), float(i)) for i, s in enumerate(STRIDES[:3])],
    )
    read: list[tuple[Tensor, Tensor]] = []
    monkeypatch.setattr(of, "draw", lambda regions, details: read.append((regions, details)))
    low, high = 320 - side / 2, 320 + side / 2
    of(maps, torch.tensor([[low, low, high, high]]))
    ((regions, details),) = read
    assert regions.shape == (1, width, BINS, BINS)
    assert details.shape == (1, FINE, 2 * BINS, 2 * BINS)
    assert regions.round(decimals=3).unique().tolist() == [level]
    assert details.round(decimals=3).unique().tolist() == [detail]


@torch.inference_mode()
def test_boxes_are_read_from_their_own_image_of_the_batch() -> None:
    of = head()
    maps = features(of, 2)
    logits = of(maps, BOXES[[0, 0]], index=torch.tensor([1, 0])).logits
    for row, image in ((0, 1), (1, 0)):
        alone = of(maps[image : image + 1], BOXES[:1]).logits
        torch.testing.assert_close(logits[row], alone[0], atol=1e-4, rtol=1e-4)
    assert (logits[0] - logits[1]).abs().max() > 1e-3


def test_a_box_is_drawn_as_its_inside_and_its_coordinates() -> None:
    drawn = head()._draw(BOXES, None, None)
    assert drawn.shape == (3, 6, BINS, BINS)
    for box, channels in zip(BOXES, drawn):
        x, y = bins(box)
        half = (box[2:] - box[:2]) / 2
        middle = box[:2] + half
        torch.testing.assert_close(channels[1, 0], (x - middle[0]) / half[0], atol=1e-4, rtol=0)
        torch.testing.assert_close(channels[2, :, 0], (y - middle[1]) / half[1], atol=1e-4, rtol=0)
        on = ((x > box[0]) & (x < box[2])) & ((y > box[1]) & (y < box[3]))[:, None]
        # Half on in the bins at the corners, where both sides are near.
        assert channels[0][on].min() > 0.2
        assert channels[0][~on].max() < 0.5
        assert channels[0, BINS // 2, BINS // 2] > 0.99
    assert not drawn[:, 3:].any()


def test_clicks_are_drawn_where_they_were_set_and_those_off_it_apart() -> None:
    prompts = PromptBatch(
        points=torch.tensor([[[20.0, 25], [45, 55], [0, 0]]]),
        point_labels=torch.tensor([[1.0, 0, -1]]),
    )
    drawn = head()._draw(BOXES[:1], prompts, None)[0]
    x, y = bins(BOXES[0])
    for channel, (px, py) in ((3, (20, 25)), (4, (45, 55))):
        row, column = divmod(int(drawn[channel].argmax()), BINS)
        cell = 40 * GROWTH / BINS
        assert abs(float(x[column]) - px) <= cell / 2
        assert abs(float(y[row]) - py) <= cell / 2
        assert drawn[channel].max() > 0.85
        assert drawn[channel].gt(0.1).float().mean() < 0.1


def test_a_coarse_mask_is_read_at_its_own_place() -> None:
    """Logits of the whole image that are a ramp of x and y."""
    cells = (torch.arange(32) + 0.5) * 4
    coarse = (0.02 * cells[None, :] - 0.03 * cells[:, None])[None, None].expand(3, -1, -1, -1)
    drawn = head()._draw(BOXES, None, coarse)
    for box, channels in zip(BOXES[[0, 2]], drawn[[0, 2]]):
        x, y = bins(box)
        ramp = 0.02 * x[None, :] - 0.03 * y[:, None]
        torch.testing.assert_close(channels[5], (ramp / 4).tanh(), atol=1e-3, rtol=0)


@pytest.fixture(scope="module")
def network() -> OVSAM:
    torch.manual_seed(0)
    return OVSAM(DESCRIPTION).eval()


@torch.inference_mode()
def test_a_box_is_answered_with_its_own_mask_and_both_its_scores(network: OVSAM) -> None:
    assert network.region_masks is not None
    encoded = network.encode(torch.randn(1, 3, 128, 128))
    assert encoded.regions is not None
    answered = network.answer(encoded, PromptBatch(boxes=BOXES))
    drawn = network.region_masks(encoded.regions, BOXES)
    assert answered.quality is not None
    assert answered.thing is not None
    torch.testing.assert_close(answered.quality, drawn.quality.sigmoid())
    torch.testing.assert_close(answered.thing, drawn.thing.sigmoid())
    torch.testing.assert_close(answered.windows, windows(BOXES))


@torch.inference_mode()
def test_points_without_proposals_are_refused(network: OVSAM) -> None:
    encoded = network.encode(torch.randn(1, 3, 64, 64))
    prompts = PromptBatch(points=torch.ones(1, 1, 2), point_labels=torch.ones(1, 1))
    with pytest.raises(ValueError, match="points need the proposals of their image"):
        network.answer(encoded, prompts)
