"""Where a label lies, as one number."""

from __future__ import annotations

from pathlib import Path

import cv2
import fiftyone as fo
import fiftyone.utils.labels as foul
import numpy as np

from ovsam_plugin.dataset.outlines import edited

FIELD = "ovsam"


def test_a_mask_that_is_stored_in_another_way_is_the_same(
    named: fo.Dataset, tmp_path: Path
) -> None:
    sample = named.first()
    for label in sample[FIELD].detections:
        label.mask = label.mask.astype(np.uint8) * 255
    sample.save()
    assert edited(named, FIELD) == set()
    foul.export_segmentations(named, FIELD, output_dir=str(tmp_path), progress=False)
    first = named.first()[FIELD].detections[0]
    assert first.mask is None
    assert edited(named, FIELD) == set()
    picture = cv2.imread(first.mask_path, cv2.IMREAD_GRAYSCALE)
    picture[:5] = 255 - picture[:5]
    cv2.imwrite(first.mask_path, picture)
    assert edited(named, FIELD) == {first.id}
