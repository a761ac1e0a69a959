from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ovsam_plugin.network.feature_pyramid import (
    STRIDES,
    align_pyramid,
    align_regions,
    pyramid_level,
)

GOLDEN = Path(__file__).resolve().parent.parent / "golden"


def test_levels_are_the_references_at_every_boundary() -> None:
    units = np.load(GOLDEN / "units.npz")
    levels = pyramid_level(torch.from_numpy(units["roi_rois"])[:, 1:])
    np.testing.assert_array_equal(levels.numpy(), units["roi_levels"])


def test_each_region_is_read_from_its_own_level() -> None:
    pyramid = [torch.full((1, 1, 1024 // s, 1024 // s), float(i)) for i, s in enumerate(STRIDES)]
    rois = torch.tensor([[0.0, 0, 0, 40, 40], [0, 0, 0, 130, 130], [0, 0, 0, 900, 900]])
    regions = align_pyramid(pyramid, rois, 3)
    assert regions[:, 0, 1, 1].tolist() == [0.0, 1.0, 3.0]


def test_alignment_puts_the_middle_of_a_ramp_in_the_middle_bin() -> None:
    ramp = (torch.arange(32) * 32.0 + 16).expand(1, 1, 32, 32)
    rois = torch.tensor([[0.0, 200, 0, 600, 400]])
    bins = align_regions(ramp, rois, 5, 32)[0, 0, 0]
    torch.testing.assert_close(bins, torch.tensor([240.0, 320, 400, 480, 560]))


def test_one_sample_a_bin_is_read_in_its_middle() -> None:
    steps = torch.zeros(1, 1, 32, 32)
    steps[..., 1::2] = 1
    rois = torch.tensor([[0.0, 16, 0, 528, 512]])  # eight bins of two cells, middle to middle
    whole = align_regions(steps, rois, 8, 32)[0, 0, 4]
    middle = align_regions(steps, rois, 8, 32, 1)[0, 0, 4]
    torch.testing.assert_close(whole, torch.full((8,), 0.5))
    torch.testing.assert_close(middle, torch.ones(8))


def test_a_level_that_is_given_is_read_in_place_of_a_regions_own() -> None:
    pyramid = [torch.full((2, 1, 1024 // s, 1024 // s), float(i)) for i, s in enumerate(STRIDES)]
    pyramid = [x + torch.tensor([0.0, 10]).view(2, 1, 1, 1) for x in pyramid]
    rois = torch.tensor([[0.0, 0, 0, 40, 40], [1, 0, 0, 130, 130], [1, 0, 0, 900, 900]])
    for levels, samples in (([3, 0, 1], 0), ([2, 2, 0], 1)):
        regions = align_pyramid(pyramid, rois, 3, torch.tensor(levels), samples)
        assert regions[:, 0, 1, 1].tolist() == [levels[0], 10 + levels[1], 10 + levels[2]]


def test_boxes_keep_their_place_where_features_are_half_precision() -> None:
    features = torch.rand(1, 2, 32, 32, generator=torch.Generator().manual_seed(0)).bfloat16()
    rois = torch.tensor([[0.0, 513, 641, 898, 903]])
    whole = align_regions(features.float(), rois, 7, 32)
    torch.testing.assert_close(align_regions(features, rois, 7, 32).float(), whole)
