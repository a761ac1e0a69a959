"""Instances cut out of their photograph."""

from __future__ import annotations

import numpy as np

from ovsam_plugin.prediction.labeler import Labeler

from .conftest import CAT


def test_what_lies_outside_the_mask_is_not_seen_by_image_crop(
    labeler: Labeler, photograph: np.ndarray
) -> None:
    from ovsam_plugin.baselines.image_crop import ImageCrop
    from ovsam_plugin.baselines.segmenter import Segmented
    from ovsam_plugin.namers.tower import Tower

    instances, _ = labeler.label_image(photograph, [CAT])
    spoiled = photograph.copy()
    spoiled[~instances.full_mask(0)] = (255, 0, 255)
    crop = ImageCrop(Tower.of(labeler.predictor), shared=True)
    a, b = (crop.embed(image, Segmented(instances)) for image in (photograph, spoiled))
    np.testing.assert_array_equal(a, b)
    spoiled[instances.full_mask(0)] = 0
    assert np.abs(crop.embed(spoiled, Segmented(instances)) - a).max() > 1e-3
