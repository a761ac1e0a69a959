"""A detector's boxes in COCO's results format, for the protocol that asks with them."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ovsam_plugin.dataset.annotations import Id, box_corners
from ovsam_plugin.evaluation.ground_truth import GroundTruth
from ovsam_plugin.prompts import Box


@dataclass(frozen=True)
class Detection:
    """One box.

    Attributes:
        prompt: where to look.
        category: the detector's class, a place in the ground truth's categories; None without one.
        score: the detector's, 0..1.
    """

    prompt: Box
    category: int | None
    score: float


def read_detections(path: str | Path, truth: GroundTruth) -> Mapping[Id, Sequence[Detection]]:
    """The boxes of a COCO results file, by image id.

    Raises:
        ValueError: there is no such file, it is no list of results, a box or score is broken, or no
            result is on an image of the ground truth.
    """
    path = Path(path).expanduser()
    try:
        rows: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read the detections {path}: {error}") from error
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise ValueError(
            f"{path} is no list of results: each has an image_id, a bbox [x, y, width, height], "
            "a category_id and a score"
        )
    place = {category_id: i for i, category_id in enumerate(truth.category_ids)}
    known = {image.id for image in truth.images}
    found: dict[Id, list[Detection]] = defaultdict(list)
    for i, row in enumerate(rows):
        if row.get("image_id") not in known:
            continue
        try:
            score = float(row.get("score", 1.0))
            if not math.isfinite(score):
                raise ValueError(f"score {score} is not finite")
            box = Box(box_corners(row.get("bbox")), id=str(i))
        except (TypeError, ValueError) as error:
            raise ValueError(f"result {i} of {path}: {error}") from error
        found[row["image_id"]].append(Detection(box, place.get(row.get("category_id")), score))
    if not found:
        raise ValueError(
            f"no result of {path} is on an image of {truth.path}: they are of different data sets"
        )
    return found
