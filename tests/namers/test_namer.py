"""Photographs with masks, as a namer gets them."""

from __future__ import annotations

import numpy as np
import pytest

from ovsam_plugin.images.mask_crop import MaskCrop
from ovsam_plugin.namers.namer import Masked

PIXELS = np.zeros((40, 60, 3), np.uint8)


def crop(x: int, y: int, height: int = 10, width: int = 20, *, filled: bool = True) -> MaskCrop:
    return MaskCrop.pack(np.full((height, width), filled), x, y)


def test_masks_up_to_the_edges_lie_on_the_photograph() -> None:
    crops = [crop(0, 0), crop(40, 30), crop(0, 0, 40, 60)]
    assert list(Masked(PIXELS, crops).crops) == crops
    assert list(Masked(PIXELS, []).crops) == []


@pytest.mark.parametrize(("x", "y"), [(-1, 0), (0, -1), (41, 0), (0, 31)])
def test_a_mask_over_an_edge_is_refused_with_both_sizes(x: int, y: int) -> None:
    with pytest.raises(ValueError, match="does not lie on the 60 x 40 photograph"):
        Masked(PIXELS, [crop(0, 0), crop(x, y)])


def test_an_empty_mask_may_lie_anywhere() -> None:
    assert len(Masked(PIXELS, [crop(500, 500, filled=False)]).crops) == 1
