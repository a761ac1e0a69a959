"""A detector's boxes in COCO's results format, for the protocol that asks with them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ovsam_plugin.annotations import Id
from ovsam_plugin.annotations.masks import box_corners
from ovsam_plugin.annotations.reader import load_json
from ovsam_plugin.annotations.values import number
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


@dataclass(frozen=True, eq=False)
class Detections:
    """A results file.

    Attributes:
        boxes: by image id of the ground truth.
        problems: results that are left out, and why.
    """

    boxes: Mapping[Id, Sequence[Detection]]
    problems: tuple[str, ...]


def read_detections(path: str | Path, truth: GroundTruth) -> Detections:
    """The boxes of a COCO results file, such as `ovsam label --export` writes.

    A result whose box or score is broken, or that says why there is none, is left out alone.

    Raises:
        ValueError: there is no such file, it is no list of results, or no result can be used on an
            image of the ground truth.
    """
    path = Path(path).expanduser()
    rows: Any = load_json(path, "results file")
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise ValueError(
            f"{path} is no list of results: each has an image_id, a bbox [x, y, width, height], "
            "a category_id and a score"
        )
    found: dict[Id, list[Detection]] = defaultdict(list)
    problems: list[str] = []
    for i, row in enumerate(rows):
        image = truth.file.image_of(row.get("image_id"))
        if image is None:
            continue
        try:
            detection = _detection(row, i, truth)
        except ValueError as error:
            problems.append(f"result {i} of {path.name}: {error}")
        else:
            found[image.id].append(detection)
    if not found:
        why = f"; {problems[0]}" if problems else ": they are of different data sets"
        raise ValueError(f"no result of {path} is on an image of {truth.path}{why}")
    return Detections(found, tuple(problems))


def _detection(row: Mapping[str, Any], index: int, truth: GroundTruth) -> Detection:
    if row.get("error"):
        raise ValueError(f"it says {row['error']!r:.200}")
    score = 1.0 if row.get("score") is None else number(row["score"])
    if score is None:
        raise ValueError(f"score {row['score']!r:.40} is not a finite number")
    box = Box(box_corners(row.get("bbox")), id=str(index))
    return Detection(box, truth.file.place_of(row.get("category_id")), score)
