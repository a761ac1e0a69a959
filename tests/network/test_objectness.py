from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from ovsam_plugin.network.feature_pyramid import STRIDES
from ovsam_plugin.network.objectness import (
    LEVELS,
    SIDES,
    ObjectnessHead,
    cell_centres,
    cells_at,
)
from ovsam_plugin.presets import get_preset

DESCRIPTION = get_preset("ovsam-lite").network
CPU = torch.device("cpu")
# Of a 96 x 160 image: cells of the three levels, row by row.
SIZE, SHAPES = (96, 160), ((12, 20), (6, 10), (3, 5))


def every_centre() -> torch.Tensor:
    return torch.cat(
        [cell_centres(h, w, STRIDES[level], CPU) for level, (h, w) in zip(LEVELS, SHAPES)]
    )


def maps() -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The neck's map and the pyramid of two images."""
    width, channels = DESCRIPTION.fpn_channels, DESCRIPTION.channels
    image = torch.randn(2, channels, SIZE[0] // 16, SIZE[1] // 16)
    return image, [torch.randn(2, width, SIZE[0] // s, SIZE[1] // s) for s in STRIDES]


def test_scores_and_boxes_are_learned_apart_and_both_from_the_necks_map() -> None:
    torch.manual_seed(0)
    head = ObjectnessHead(DESCRIPTION)
    image, pyramid = maps()
    found = head(image.requires_grad_(), pyramid)
    for output, own, other in (
        (found.logits, head.thing_tower, head.box_tower),
        (found.boxes, head.box_tower, head.thing_tower),
    ):
        (gradient,) = torch.autograd.grad(output.sum(), image, retain_graph=True)
        assert gradient.abs().amax((0, 1)).min() > 0
        head.zero_grad()
        output.sum().backward(retain_graph=True)
        assert all(p.grad is not None and p.grad.any() for p in own.parameters())
        assert all(p.grad is None or not p.grad.any() for p in other.parameters())


@torch.inference_mode()
def test_the_necks_map_is_laid_over_every_level_at_its_place() -> None:
    torch.manual_seed(0)
    head = ObjectnessHead(DESCRIPTION)
    image, pyramid = maps()
    read: list[torch.Tensor] = []
    head.thing_tower.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    head(image, pyramid)
    image[:, :, 0, 0] += 3
    head(image, pyramid)
    for level, before, after in zip(LEVELS, read[:3], read[3:]):
        moved = (after - before).abs().amax((0, 1)) > 1e-4
        assert moved[0, 0]
        near = 32 // STRIDES[level]
        assert not moved[near:].any()
        assert not moved[:, near:].any()


def test_cell_centres_run_along_rows() -> None:
    centres = cell_centres(2, 3, 16, CPU)
    assert centres.tolist() == [[8, 8], [24, 8], [40, 8], [8, 24], [24, 24], [40, 24]]


@torch.inference_mode()
def test_every_cell_of_three_levels_gets_a_box_around_its_own_centre() -> None:
    torch.manual_seed(0)
    head = ObjectnessHead(DESCRIPTION)
    image, pyramid = maps()
    found = head(image, pyramid)
    cells = sum(h * w for h, w in SHAPES)
    assert found.logits.shape == (2, cells)
    assert found.boxes.shape == (2, cells, 4)
    centres = every_centre()
    assert (found.boxes[..., :2] < centres).all()
    assert (found.boxes[..., 2:] > centres).all()
    # Before it has learned anything it takes little for a thing.
    assert found.logits.sigmoid().mean() == pytest.approx(0.05, abs=0.03)
    alone = head(image[1:], [level[1:] for level in pyramid])
    torch.testing.assert_close(alone.boxes[0], found.boxes[1], rtol=1e-4, atol=1e-3)


def test_the_cell_at_a_point_is_the_one_whose_square_it_lies_in() -> None:
    points = torch.rand(50, 2, generator=torch.Generator().manual_seed(0))
    points = points * torch.tensor([SIZE[1], SIZE[0]])
    cells = cells_at(points, SIZE)
    assert cells.shape == (50, 3)
    centres = every_centre()
    for column, level in enumerate(LEVELS):
        away = (centres[cells[:, column]] - points).abs()
        assert (away <= STRIDES[level] / 2).all()


def test_a_point_on_the_far_edge_has_the_last_cell() -> None:
    corner = cells_at(torch.tensor([[160.0, 96.0], [0, 0]]), SIZE)
    assert corner.tolist() == [[239, 299, 314], [0, 240, 300]]


def test_sizes_of_neighbouring_levels_overlap() -> None:
    assert SIDES[0][0] == 0
    assert SIDES[-1][1] == float("inf")
    assert all(low < high_before for (_, high_before), (low, _) in pairwise(SIDES))
