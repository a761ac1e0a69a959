"""The picture of a group: a few of its instances in a row."""

from __future__ import annotations

from collections.abc import Sequence

import fiftyone as fo
from PIL import Image

from ovsam_plugin.curation.review_picture import instance_picture
from ovsam_plugin.curation.review_queue import load_instance

CROP = (160, 120)
"""(width, height) in pixels of each crop."""
_GAP = 4
_PAPER = (30, 32, 36)


def group_picture(
    dataset: fo.Dataset, field: str, examples: Sequence[tuple[str, str]]
) -> Image.Image:
    """Crops of instances side by side, each outlined.

    Args:
        dataset: the labels' dataset.
        field: a field of Detections.
        examples: (sample id, label id) of each; those that are gone are left out.

    Returns:
        An RGB image, CROP high and as wide as there are crops.
    """
    found = (load_instance(dataset, field, *pair) for pair in examples)
    shown = [instance_picture(one.filepath, one.label) for one in found if one is not None]
    width = max(len(shown) * (CROP[0] + _GAP) - _GAP, 1)
    picture = Image.new("RGB", (width, CROP[1]), _PAPER)
    for place, crop in enumerate(shown):
        picture.paste(crop.resize(CROP, Image.Resampling.LANCZOS), (place * (CROP[0] + _GAP), 0))
    return picture
