"""Figures of crops whose answers are known: a network that knows all, and one that is wrong."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.ops import roi_align

from ovsam_plugin.network.feature_pyramid import STRIDES
from ovsam_plugin.network.objectness import LEVELS, Proposals, cell_centres
from ovsam_plugin.network.region_masks import RegionMasks, windows
from ovsam_plugin.training.crops import Crop
from ovsam_plugin.training.lite_figures import Drawing, named
from tests.training.small import rectangle_crop

SIDE = 64
BOXES = ((4, 4, 40, 40), (44, 44, 60, 60))
CROP = rectangle_crop(*BOXES)
FEATURES: Any = SimpleNamespace(image=None, pyramid=None)


class Head:
    """Draws in each box the instance whose middle is nearest; or, if wrong, all but it."""

    def __init__(self, crop: Crop, right: bool) -> None:
        self._crop = crop
        self._right = right

    def project(self, image: Any, pyramid: Any) -> None:
        """Nothing is read."""

    def __call__(self, regions: Any, boxes: Tensor, prompts: Any = None) -> RegionMasks:
        owners = nearest((boxes[:, :2] + boxes[:, 2:]) / 2, self._crop)
        rois = torch.cat([torch.arange(len(boxes))[:, None], windows(boxes)], 1)
        shown = self._crop.masks[owners].float()[:, None]
        covered = roi_align(shown, rois, 32, 1.0, 2, aligned=True)[:, 0]
        far = (boxes - self._crop.boxes[owners]).abs().sum(1)
        return RegionMasks((covered - 0.5) * (1 if self._right else -1), -far, -far)


def nearest(points: Tensor, crop: Crop) -> Tensor:
    """The instance whose middle is nearest to each point."""
    middles = (crop.boxes[:, :2] + crop.boxes[:, 2:]) / 2
    return (points[:, None] - middles).norm(dim=-1).argmin(1)


def network(crop: Crop, right: bool = True, surer_of: int = 0) -> Any:
    """Every cell proposes the instance that is nearest to it, of one more surely."""
    parts = [
        cell_centres(SIDE // stride, SIDE // stride, stride, torch.device("cpu"))
        for stride in (STRIDES[level] for level in LEVELS)
    ]
    owners = nearest(torch.cat(parts), crop)
    found = Proposals((owners == surer_of).float()[None], crop.boxes[owners][None])
    return SimpleNamespace(region_masks=Head(crop, right), objectness=lambda *_: found)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize(
    ("classes", "first", "five"), [((0, 1), 1, 1), ((4, 4), 0, 1), ((5, 7), 0, 0)]
)
def test_a_name_counts_where_it_is_the_nearest_and_among_five(
    classes: tuple[int, int], first: float, five: float
) -> None:
    crop = rectangle_crop(*BOXES, classes=classes)
    heads = torch.tensor([[8.0, 7, 6, 5, 4, 3, 2, 1], [7, 8, 6, 5, 4, 3, 2, 1]])
    knows: Any = SimpleNamespace(embed=lambda *_: SimpleNamespace(head=heads))
    figures = named(knows, FEATURES, crop, torch.eye(8))
    assert figures["top-1"].tolist() == [first] * 2
    assert figures["top-5"].tolist() == [five] * 2


@pytest.mark.parametrize("right", [True, False])
def test_masks_count_by_how_far_they_are_the_true_ones(right: bool) -> None:
    drawing = Drawing(network(CROP, right), FEATURES, CROP)
    for figures in (drawing.from_boxes(), drawing.from_points(seeded())):
        ((_, iou),) = figures.items()
        assert len(iou) == 2
        assert (iou > 0.9).all() if right else (iou < 0.1).all()


@pytest.mark.parametrize("right", [True, False])
def test_what_is_found_alone_are_the_things_and_all_of_them(right: bool) -> None:
    figures = Drawing(network(CROP, right), FEATURES, CROP).unasked(seeded())
    assert figures["things of the best 5"].tolist() == [float(right)] * 2
    assert figures["found by 50"].tolist() == [float(right)] * 2


def test_a_guess_where_things_may_be_that_nobody_outlined_does_not_count() -> None:
    hidden = rectangle_crop(*BOXES, unknown=BOXES[1])
    figures = Drawing(network(hidden), FEATURES, hidden).unasked(seeded())
    assert sorted(figures["things of the best 5"].tolist()) == [0, 1]
    assert figures["found by 50"].tolist() == [1, 0]
