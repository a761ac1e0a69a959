"""Mask AP of COCO and of LVIS by hotcoco, whose figures are pycocotools' and lvis-api's own.

pycocotools knows no LVIS, and lvis-api has had no release since 2020 and fails on current numpy.
"""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import hotcoco

COCO_KEYS = ("AP", "AP50", "AP75", "APs", "APm", "APl")
LVIS_KEYS = (*COCO_KEYS, "APr", "APc", "APf")


def average_precision(
    truth: Mapping[str, Any], results: Sequence[Mapping[str, Any]], *, federated: bool = False
) -> dict[str, float]:
    """Average precision of masks over IoU 0.50 to 0.95.

    Args:
        truth: the content of a COCO or LVIS annotation file.
        results: rows as COCO writes them: image_id, category_id, segmentation (run lengths) and
            score. Rows of other images or classes count for nothing.
        federated: by LVIS's rules: at most 300 detections an image, those of classes that were not
            looked for on it are not held against anyone, and neither are surplus ones of classes
            that are `not_exhaustive`. COCO's otherwise: 100 detections an image, crowds ignored.

    Returns:
        `LVIS_KEYS` or `COCO_KEYS`, each 0..1, NaN where no class has an instance of that kind.
    """
    images = {image["id"] for image in truth["images"]}
    classes = {category["id"] for category in truth["categories"]}
    rows = [dict(r) for r in results if r["image_id"] in images and r["category_id"] in classes]
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its own table
        annotations = hotcoco.COCO(dict(truth))
        detections = annotations.load_res(rows)
        evaluator = hotcoco.COCOeval(annotations, detections, "segm", lvis_style=federated)
        evaluator.run()
    found = evaluator.get_results()
    keys = LVIS_KEYS if federated else COCO_KEYS
    return {key: math.nan if found[key] < 0 else float(found[key]) for key in keys}
