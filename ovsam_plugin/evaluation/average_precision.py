"""Mask AP of COCO and of LVIS by hotcoco, whose figures are pycocotools' and lvis-api's own.

pycocotools knows no LVIS, and lvis-api has had no release since 2020 and fails on current numpy.
Neither knows TIDE's kinds of error, slices, or bootstrap intervals, and hotcoco does.
"""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import hotcoco

from ovsam_plugin.evaluation.resampling import LEVEL, ROUNDS, Interval

COCO_KEYS = ("AP", "AP50", "AP75", "APs", "APm", "APl")
LVIS_KEYS = (*COCO_KEYS, "APr", "APc", "APf")

ERRORS = {
    "Cls": "wrong name",
    "Loc": "badly cut out",
    "Both": "both",
    "Dupe": "double",
    "Bkg": "nothing there",
    "Miss": "missed",
}
"""TIDE's kinds of error (Bolya et al., arXiv 2008.08115), in words."""


@dataclass(frozen=True)
class Error:
    """One kind.

    Attributes:
        kind: of `ERRORS`.
        count: how many answers, or of "Miss" how many instances, are of it.
        cost: by how much AP50 rises where all of them are put right, 0..1.
    """

    kind: str
    count: int
    cost: float


class MaskPrecision:
    """Average precision of one run's masks over IoU 0.50 to 0.95, and what explains it.

    Args:
        truth: the content of a COCO or LVIS annotation file.
        results: rows as COCO writes them: image_id, category_id, segmentation (run lengths) and
            score. Rows of other images or classes count for nothing.
        federated: by LVIS's rules: at most 300 detections an image, those of classes that were not
            looked for on it are not held against anyone, and neither are surplus ones of classes
            that are `not_exhaustive`. COCO's otherwise: 100 detections an image, crowds ignored.
    """

    def __init__(
        self,
        truth: Mapping[str, Any],
        results: Sequence[Mapping[str, Any]],
        *,
        federated: bool = False,
    ) -> None:
        self._truth, self._federated = truth, federated
        self._keys = LVIS_KEYS if federated else COCO_KEYS
        images = {image["id"] for image in truth["images"]}
        classes = {category["id"] for category in truth["categories"]}
        rows = [dict(r) for r in results if r["image_id"] in images and r["category_id"] in classes]
        self._evaluator = _run(truth, rows, federated)

    @property
    def figures(self) -> dict[str, float]:
        """`LVIS_KEYS` or `COCO_KEYS`, each 0..1; NaN where no class has such an instance."""
        return self._known(self._evaluator.get_results())

    def intervals(self, rounds: int = ROUNDS) -> dict[str, Interval]:
        """Of the figures that are not NaN, photographs being drawn again."""
        # A run beside one that answers nothing, whose precision is 0 in every draw.
        nothing = _run(self._truth, [], self._federated)
        drawn = hotcoco.compare(nothing, self._evaluator, n_bootstrap=rounds, confidence=LEVEL)
        return self._bounds(drawn)

    def differences(self, other: MaskPrecision, rounds: int = ROUNDS) -> dict[str, Interval]:
        """By how much another run of the same truth is better, the same photographs drawn for both.

        Of the figures that are not NaN.
        """
        drawn = hotcoco.compare(
            self._evaluator, other._evaluator, n_bootstrap=rounds, confidence=LEVEL
        )
        return self._bounds(drawn)

    @cached_property
    def errors(self) -> list[Error]:
        """What keeps AP50 down, by TIDE's kinds."""
        found = self._evaluator.tide_errors()
        return [
            Error(kind, int(found["counts"][kind]), float(found["delta_ap"][kind]))
            for kind in ERRORS
        ]

    def of_images(self, groups: Mapping[str, Sequence[int]]) -> dict[str, dict[str, float]]:
        """The figures of some images alone, by the name of each group of image ids."""
        found = self._evaluator.slice_by({name: list(ids) for name, ids in groups.items()})
        return {name: self._known(found[name]) for name in groups}

    def _bounds(self, drawn: Mapping[str, Any]) -> dict[str, Interval]:
        there = (key for key, value in self.figures.items() if not math.isnan(value))
        return {
            key: Interval(float(drawn["ci"][key]["lower"]), float(drawn["ci"][key]["upper"]))
            for key in there
        }

    def _known(self, found: Mapping[str, float]) -> dict[str, float]:
        return {key: math.nan if found[key] < 0 else float(found[key]) for key in self._keys}


def average_precision(
    truth: Mapping[str, Any], results: Sequence[Mapping[str, Any]], *, federated: bool = False
) -> dict[str, float]:
    """`MaskPrecision.figures` alone."""
    return MaskPrecision(truth, results, federated=federated).figures


def _run(truth: Mapping[str, Any], rows: list[dict[str, Any]], federated: bool) -> Any:
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its own table
        annotations = hotcoco.COCO(dict(truth))
        detections = annotations.load_res(rows)
        evaluator = hotcoco.COCOeval(annotations, detections, "segm", lvis_style=federated)
        evaluator.run()
    return evaluator
