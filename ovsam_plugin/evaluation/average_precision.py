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

from ovsam_plugin.evaluation.resampling import LEVEL, NOWHERE, ROUNDS, Interval

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
            score. Rows of other images count for nothing, and those of other classes only where
            they are the wrong name of an instance.
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
        self._rows = [dict(r) for r in results if r["image_id"] in images]
        self._others = {r["category_id"] for r in self._rows} - classes
        known = [r for r in self._rows if r["category_id"] in classes]
        self._evaluator = _run(truth, known, federated)

    @property
    def figures(self) -> dict[str, float]:
        """`LVIS_KEYS` or `COCO_KEYS`, each 0..1; NaN where no class has such an instance."""
        return self._known(self._evaluator.get_results())

    def intervals(self, rounds: int = ROUNDS) -> dict[str, Interval]:
        """Of the figures that are not NaN, photographs being drawn again.

        A draw without any instance that a figure is of says nothing of that figure, and is left out
        of its interval: bounds hold `LEVEL` of the draws that have one. Where more draws have none
        than an interval leaves out by its level, as where all such instances lie on one or two of
        many photographs, so few photographs say nothing of others, and the bounds are NaN.
        """
        # A run that answers nothing, whose precision is 0 in every draw that has an instance.
        nothing = MaskPrecision(self._truth, [], federated=self._federated)
        return nothing._bounds(self, rounds)

    def differences(self, other: MaskPrecision, rounds: int = ROUNDS) -> dict[str, Interval]:
        """By how much another run of the same truth is better, the same photographs drawn for both.

        Of the figures that are not NaN; draws are left out as those of `intervals`.
        """
        return self._bounds(other, rounds)

    @cached_property
    def errors(self) -> list[Error]:
        """What keeps AP50 down, by TIDE's kinds."""
        found = self._evaluator.tide_errors()
        sources = dict.fromkeys(ERRORS, found)
        if self._others:
            # What is called by a class that the truth has not is not missed: its name is wrong. On
            # nothing that is annotated, it may be right.
            sources["Cls"] = sources["Miss"] = self._with_others().tide_errors()
        return [
            Error(kind, int(source["counts"][kind]), float(source["delta_ap"][kind]))
            for kind, source in sources.items()
        ]

    def of_images(self, groups: Mapping[str, Sequence[int]]) -> dict[str, dict[str, float]]:
        """The figures of some images alone, by the name of each group of image ids."""
        found = self._evaluator.slice_by({name: list(ids) for name, ids in groups.items()})
        return {name: self._known(found[name]) for name in groups}

    def _with_others(self) -> Any:
        """The evaluator of all rows, those of classes that the truth has not among them."""
        others = [{"id": i, "name": f"other {i}", "frequency": "f"} for i in sorted(self._others)]
        categories = [*self._truth["categories"], *others]
        return _run({**self._truth, "categories": categories}, self._rows, self._federated)

    def _bounds(self, other: MaskPrecision, rounds: int) -> dict[str, Interval]:
        """Of the other run's figures less this one's.

        hotcoco counts 0 where a draw has no instance. Bounds are looked up in its draws as in those
        alone that have one: below 0 the others lie above a lower bound and do not count, from 0 on
        they lie below it, and it is as many draws further on.
        """
        found: dict[float, Any] = {}

        def drawn(tail: float) -> Any:
            if tail not in found:
                found[tail] = _draw(self._evaluator, other._evaluator, rounds, 1 - 2 * tail)
            return found[tail]

        bounds, having = {}, self._shares(rounds)
        for key in (key for key, value in self.figures.items() if not math.isnan(value)):
            without = 1 - having[key]
            if without > 1 - LEVEL:
                bounds[key] = NOWHERE
                continue
            tail = (1 - LEVEL) / 2 * having[key]
            outer, inner = drawn(tail)[key], drawn(tail + without)[key]
            low = outer["lower"] if outer["lower"] < 0 else inner["lower"]
            high = outer["upper"] if outer["upper"] > 0 else inner["upper"]
            bounds[key] = Interval(float(low), float(high))
        return bounds

    def _shares(self, rounds: int) -> dict[str, float]:
        """By figure, the share of the draws that have an instance that it is of: those in which
        answering the truth itself is worth more than nothing.

        Classes of one frequency are one class here, which changes no share and costs far less.
        """
        kinds = {c["id"]: "rcf".index(c.get("frequency", "f")) for c in self._truth["categories"]}
        lists: dict[str, Any] = {"neg_category_ids": [], "not_exhaustive_category_ids": []}
        things = [a | {"category_id": kinds[a["category_id"]]} for a in self._truth["annotations"]]
        truth = {
            "images": [image | lists for image in self._truth["images"]],
            "categories": [{"id": i, "name": f, "frequency": f} for i, f in enumerate("rcf")],
            "annotations": things,
        }
        nothing, all_of_it = (
            _run(truth, rows, self._federated) for rows in ([], [a | {"score": 1} for a in things])
        )
        drawn = _draw(nothing, all_of_it, rounds, LEVEL)
        return {key: float(drawn[key]["prob_positive"]) for key in self._keys}

    def _known(self, found: Mapping[str, float]) -> dict[str, float]:
        return {key: math.nan if found[key] < 0 else float(found[key]) for key in self._keys}


def average_precision(
    truth: Mapping[str, Any], results: Sequence[Mapping[str, Any]], *, federated: bool = False
) -> dict[str, float]:
    """`MaskPrecision.figures` alone."""
    return MaskPrecision(truth, results, federated=federated).figures


def _draw(first: Any, second: Any, rounds: int, level: float) -> Any:
    """The bootstrap of the second run's figures less the first's, in the same draws each time."""
    return hotcoco.compare(first, second, n_bootstrap=rounds, confidence=level)["ci"]


def _run(truth: Mapping[str, Any], rows: list[dict[str, Any]], federated: bool) -> Any:
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its own table
        annotations = hotcoco.COCO(dict(truth))
        detections = annotations.load_res(rows)
        evaluator = hotcoco.COCOeval(annotations, detections, "segm", lvis_style=federated)
        evaluator.run()
    return evaluator
