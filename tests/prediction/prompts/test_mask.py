from __future__ import annotations

import numpy as np
import pytest

from ovsam_plugin.images.mask_crop import MaskCrop
from ovsam_plugin.prediction.prompts import Mask


def test_a_mask_needs_two_axes_and_a_pixel() -> None:
    with pytest.raises(ValueError, match="shape"):
        Mask(np.ones((2, 3, 1), dtype=bool))
    with pytest.raises(ValueError, match="at least one pixel"):
        Mask(np.zeros((2, 3), dtype=bool))


def test_a_mask_of_another_size_than_the_image_is_refused() -> None:
    with pytest.raises(ValueError, match="mask is 3 x 2, the image is 30 x 20"):
        Mask(np.ones((2, 3), dtype=bool)).on_image(30, 20)


def test_a_mask_is_kept_as_its_crop_and_given_whole() -> None:
    whole = np.zeros((40, 30), dtype=bool)
    whole[5:9, 10:20] = True
    for mask in (Mask(whole, id="a"), Mask(MaskCrop.at(whole), id="a", size=(40, 30))):
        assert mask.crop.box == (10, 5, 20, 9)
        assert mask.size == (40, 30)
        assert (mask.refine, mask.id) == (False, "a")
        np.testing.assert_array_equal(mask.mask, whole)
        assert mask.on_image(30, 40) is mask


def test_a_crop_of_a_mask_needs_the_size_of_its_image() -> None:
    with pytest.raises(ValueError, match="needs its image's size"):
        Mask(MaskCrop.at(np.ones((2, 3), dtype=bool)))
    with pytest.raises(ValueError, match="does not lie on the 4 x 4 image"):
        Mask(MaskCrop.at(np.ones((2, 3), dtype=bool), 2, 0), size=(4, 4))
