"""A detector's boxes in COCO's results format, for the protocol that asks with them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ovsam_plugin.annotations import Id
from ovsam_plugin.annotations.results import Result, read_results
from ovsam_plugin.evaluation.ground_truth import GroundTruth
from ovsam_plugin.prediction.prompts import Box


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
    found: dict[Id, list[Detection]] = defaultdict(list)
    problems: list[str] = []
    for result in read_results(path):
        image = truth.file.image_of(result.image_id)
        if image is None:
            continue
        try:
            detection = _detection(result, truth)
        except ValueError as error:
            problems.append(f"result {result.index} of {path.name}: {error}")
        else:
            found[image.id].append(detection)
    if not found:
        why = f"; {problems[0]}" if problems else ": they are of different data sets"
        raise ValueError(f"no result of {path} is on an image of {truth.path}{why}")
    return Detections(found, tuple(problems))


def _detection(result: Result, truth: GroundTruth) -> Detection:
    if result.error is not None:
        raise ValueError(result.error)
    box = Box(result.box(), id=str(result.index))
    category = truth.file.place_of(result.record.get("category_id"))
    return Detection(box, category, result.score)
