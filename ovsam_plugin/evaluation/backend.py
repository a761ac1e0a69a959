"""The FiftyOne evaluation backend `ovsam`: exact mask IoU, and the paper's figures in the App.

    from ovsam_plugin import OvsamEvaluationConfig

    dataset.evaluate_detections(
        "ovsam", gt_field="ground_truth", method=OvsamEvaluationConfig, eval_key="eval"
    )

What is stored, configuration and results, is FiftyOne's own, so that it loads where this package is
missing too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.core.collections as foc
import numpy as np
from fiftyone.core.evaluation import EvaluationInfo
from fiftyone.utils.eval.detection import (
    DetectionEvaluation,
    DetectionEvaluationConfig,
    DetectionResults,
)

from ovsam_plugin.dataset.fields import check_writable
from ovsam_plugin.dataset.internals import dataset_of, settings_of
from ovsam_plugin.dataset.label_masks import UnreadableMaskError, crop_of
from ovsam_plugin.dataset.rank import rank
from ovsam_plugin.dataset.sizes import UNSIZED, size_of
from ovsam_plugin.evaluation.average_precision import ERRORS, MaskPrecision
from ovsam_plugin.evaluation.coco_content import CocoContent
from ovsam_plugin.evaluation.evaluated_fields import EvaluatedFields
from ovsam_plugin.evaluation.ground_truth import Truth
from ovsam_plugin.evaluation.metrics import (
    UNNAMED,
    Row,
    by_frequency,
    by_split,
    outside,
    split_intervals,
)
from ovsam_plugin.evaluation.protocols import (
    MIN_IOU,
    PAIRED,
    Pairs,
    Target,
    check_protocol,
    pair_by_asker,
    pair_greedily,
)
from ovsam_plugin.evaluation.results import Evaluated, MethodResult
from ovsam_plugin.evaluation.tally import Predicted, Tally
from ovsam_plugin.images.mask_crop import NOTHING

LABELS = {
    "mAP": "Mask mAP",
    "IoU": "Mask IoU",
    "Acc": "Accuracy of names",
    "IoU_b": "Mask IoU, base",
    "IoU_n": "Mask IoU, novel",
    "Acc_b": "Accuracy of names, base",
    "Acc_n": "Accuracy of names, novel",
    "IoU_r": "Mask IoU, rare",
    "IoU_c": "Mask IoU, common",
    "IoU_f": "Mask IoU, frequent",
    "Acc_r": "Accuracy of names, rare",
    "Acc_c": "Accuracy of names, common",
    "Acc_f": "Accuracy of names, frequent",
    **{
        f"{key}_{end}": f"{name}, 95 % interval {said}"
        for key, name in (("mAP", "Mask mAP"), ("IoU", "Mask IoU"), ("Acc", "Accuracy of names"))
        for end, said in (("low", "from"), ("high", "to"))
    },
    **{f"TIDE_{kind}": f"AP50 lost: {words} (TIDE)" for kind, words in ERRORS.items()},
}
"""What the App calls the figures. Its own "Accuracy", beside them, counts surplus answers too."""

Match = tuple[str | None, str | None, float | None, float | None, str | None, str | None]


class OvsamEvaluationConfig(DetectionEvaluationConfig):  # type: ignore[misc]
    """What `evaluate_detections(..., method=OvsamEvaluationConfig)` takes.

    Args:
        pred_field, gt_field: fields of `Detections` with masks.
        iou: least mask IoU of a pair in a greedy protocol.
        protocol: one of `protocols.PROTOCOLS`; who asked for a prediction is its `prompt_id`.
        split: as for `apply_split`; ground truth of classes in neither part is left out.
        vocabulary: classes with their synonyms, so that "aeroplane" answers "airplane"; a built-in
            name, a list of names or a file. When not given, COCO's or LVIS's if it has every class
            of the ground truth as a class of its own, else the ground truth's own: to COCO, a man
            and a woman are one class.
        iscrowd: attribute that marks crowds.
        resize_masks: stretch masks of another size over their boxes.
        **kwargs: of the base class. `classwise`, `use_masks` and `use_boxes`, which FiftyOne always
            passes, change nothing: names never decide a pair, and IoU is always of masks.
    """

    def __init__(
        self,
        pred_field: str,
        gt_field: str,
        iou: float | None = None,
        classwise: bool | None = None,
        protocol: str = "box",
        split: str | None = None,
        vocabulary: str | list[str] | None = None,
        iscrowd: str = "iscrowd",
        resize_masks: bool = False,
        use_masks: bool = False,
        use_boxes: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(pred_field, gt_field, iou=iou, classwise=False, **kwargs)
        self.protocol = check_protocol(protocol)
        self.split = None if split is None else str(split)
        self.vocabulary = vocabulary
        self.iscrowd = iscrowd
        self.resize_masks = resize_masks

    @property
    def method(self) -> str:
        return "ovsam"

    @property
    def cls(self) -> str:
        """What FiftyOne stores as the class of this configuration: its own."""
        return f"{DetectionEvaluationConfig.__module__}.{DetectionEvaluationConfig.__name__}"

    @property
    def run_cls(self) -> type[OvsamEvaluation]:
        return OvsamEvaluation

    @property
    def requires_additional_fields(self) -> bool:
        return True  # the image's size is in the metadata


class OvsamEvaluation(DetectionEvaluation):  # type: ignore[misc]
    """Pairs labels, and marks each with what it is paired with, the IoU and right or wrong.

    A prediction is `tp` where its name is that of the truth it is paired with, else `fp`; a truth
    `tp` or `fn`. Crowds, and truths that a split leaves out, are not marked, nor is what they took.

    Attributes:
        sample_ids: of the samples that were evaluated, in the order of `Evaluated.paths`.
    """

    def register_run(
        self, samples: foc.SampleCollection, key: str, overwrite: bool = True, cleanup: bool = True
    ) -> None:
        """Checks everything first, so that nothing is written when something is wrong."""
        self._fields = EvaluatedFields.check(
            samples,
            self.config.pred_field,
            self.config.gt_field,
            protocol=self.config.protocol,
            vocabulary=self.config.vocabulary,
            split=self.config.split,
        )
        if key is not None:
            self.check_key(samples, key)
        self._paired = self.config.protocol in PAIRED
        self._min_iou = MIN_IOU if self.config.iou is None else self.config.iou
        self._tally = Tally()
        used = self._fields.labels.values()
        self._content = CocoContent(self._fields.vocabulary, (n for n in used if n >= 0))
        self._others: dict[str, int] = {}
        self._paths: list[Path] = []
        self.sample_ids: list[str] = []
        self._problems: list[str] = []
        super().register_run(samples, key, overwrite=overwrite, cleanup=cleanup)

    def check_key(self, samples: foc.SampleCollection, key: str) -> None:
        """Whether the run may be kept under a name.

        Raises:
            ValueError: it is no name, an evaluation of another kind or of other fields has it, or
                its marks may not be written.
        """
        self.validate_run(samples, key)
        for name in (self.config.pred_field, self.config.gt_field):
            check_writable(dataset_of(samples), name, (key, f"{key}_id", f"{key}_iou"))

    @classmethod
    def get_run_info(cls, samples: foc.SampleCollection, key: str) -> EvaluationInfo:
        """The run's, with our configuration again where FiftyOne's own stands for it."""
        info = super().get_run_info(samples, key)
        if type(info.config) is DetectionEvaluationConfig and hasattr(info.config, "protocol"):
            info.config = OvsamEvaluationConfig(**settings_of(info.config))
        return info

    def evaluate(self, doc: fo.Sample, eval_key: str | None = None) -> list[Match]:
        """One image; see `DetectionEvaluation.evaluate`."""
        size = size_of(doc)
        if size is None:
            self._problems.append(f"{doc.filepath}: {UNSIZED}")
            return []
        try:
            truths, targets = self._targets(doc, size)
            predictions, answers = self._answers(doc, size)
        except UnreadableMaskError as error:  # one image must not cost the others
            self._problems.append(f"{doc.filepath}: {error}")
            return []
        except ValueError as error:
            raise ValueError(f"{doc.filepath}: {error}") from error
        if self._paired:
            place = {target.truth.id: i for i, target in enumerate(targets)}
            askers = [place.get(str(p.get_attribute_value("prompt_id", ""))) for p in predictions]
            pairs = pair_by_asker(answers.masks, [-1 if a is None else a for a in askers], targets)
        else:
            pairs = pair_greedily(answers.masks, answers.scores, targets, self._min_iou)
        self._tally.add(answers, targets, pairs, len(self._paths), size)
        self._content.add(Path(doc.filepath).name, size, targets)
        self._paths.append(Path(doc.filepath))
        self.sample_ids.append(str(doc.id))
        return self._mark(eval_key, truths, targets, predictions, answers, pairs)

    def _targets(
        self, doc: fo.Sample, size: tuple[int, int]
    ) -> tuple[list[fo.Detection], list[Target]]:
        labels, targets = [], []
        for label in _detections(doc[self.gt_field]):
            crowd = bool(label.get_attribute_value(self.config.iscrowd, False))
            mask = crop_of(label, size, resize_masks=self.config.resize_masks)
            if mask is None or not mask.area:
                self._problems.append(f"ground truth {label.id} of {doc.filepath} has no mask")
                continue
            place = self._fields.labels.get(label.label, -1)
            labels.append(label)
            targets.append(Target(Truth(str(label.id), place, crowd), mask, place))
        return labels, targets

    def _answers(
        self, doc: fo.Sample, size: tuple[int, int]
    ) -> tuple[list[fo.Detection], Predicted]:
        labels = _detections(doc[self.pred_field])
        masks, places = [], []
        for label in labels:
            mask = crop_of(label, size, resize_masks=self.config.resize_masks)
            masks.append(NOTHING if mask is None else mask)
            places.append(self._place(label.label))
        found = self.config.protocol == "everything"
        scores = np.array([rank(label, found=found) for label in labels], dtype=np.float64)
        return labels, Predicted(masks, np.array(places, dtype=np.int64), scores)

    def _place(self, name: str | None) -> int:
        """Where the vocabulary has a name, or `outside` it with its place among the others."""
        if not name:
            return UNNAMED
        place = self._fields.vocabulary.find(name)
        return outside(self._others.setdefault(name, len(self._others))) if place is None else place

    def _mark(
        self,
        eval_key: str | None,
        truths: Sequence[fo.Detection],
        targets: Sequence[Target],
        predictions: Sequence[fo.Detection],
        answers: Predicted,
        pairs: Pairs,
    ) -> list[Match]:
        """Writes what came out onto the labels, and lists it as FiftyOne wants it."""
        names = self._fields.vocabulary.names
        matches: list[Match] = []

        def said(index: int) -> str | None:
            place = answers.labels[index]
            name: str | None = predictions[index].label if place < 0 else names[place]
            return name

        for i, (truth, target) in enumerate(zip(truths, targets)):
            answer = int(pairs.answer_of[i])
            if target.truth.crowd or target.label < 0:
                continue
            right = answer >= 0 and bool(answers.labels[answer] == target.label)
            name, truth_id = names[target.label], str(truth.id)
            if answer < 0:
                _write(truth, eval_key, "fn", "", None)
                matches.append((name, None, None, None, truth_id, None))
                continue
            prediction, iou = predictions[answer], float(pairs.iou[i])
            _write(truth, eval_key, "tp" if right else "fn", str(prediction.id), iou)
            _write(prediction, eval_key, "tp" if right else "fp", truth_id, iou)
            confidence, prediction_id = prediction.confidence, str(prediction.id)
            matches.append((name, said(answer), iou, confidence, truth_id, prediction_id))
        for i, prediction in enumerate(predictions):
            if pairs.target_of[i] < 0:
                _write(prediction, eval_key, "fp", "", None)
                name_said, confidence = said(i), prediction.confidence
                matches.append((None, name_said, None, confidence, None, str(prediction.id)))
        return matches

    def generate_results(
        self,
        samples: foc.SampleCollection,
        matches: list[Match],
        eval_key: str | None = None,
        classes: list[str] | None = None,
        missing: str | None = None,
        progress: bool | None = None,
    ) -> DetectionResults:
        """FiftyOne's results with the paper's figures as custom metrics.

        Raises:
            ValueError: no image could be evaluated.
        """
        if self._problems and not self._paths:
            raise ValueError(f"nothing could be evaluated: {self._problems[0]}")
        results = super().generate_results(
            samples, matches, eval_key=eval_key, classes=classes, missing=missing, progress=progress
        )
        outcomes, vocabulary = self._tally.outcomes, self._fields.vocabulary
        rows = by_split(outcomes, vocabulary)
        marked = {"_b": rows["base"], "_n": rows["novel"], "": rows["all"]}
        frequencies = by_frequency(outcomes, vocabulary)
        marked |= {f"_{row.group[0]}": row for row in frequencies}
        found = {**self._precision(), **_named(marked)}
        for key, interval in split_intervals(outcomes, vocabulary).items():
            if key in ("IoU", "Acc"):
                found[f"{key}_low"], found[f"{key}_high"] = interval
        results.custom_metrics = {
            f"ovsam/{key}": {
                "key": key,
                "value": value,
                "label": LABELS.get(key, key),
                "lower_is_better": key.startswith("TIDE_"),
            }
            for key, value in found.items()
            if not math.isnan(value)
        }
        return results

    def _precision(self) -> dict[str, float]:
        """COCO's mask mAP of what was evaluated, its interval, and what AP50 is lost to; NaN
        where there is nothing to rank."""
        if not self._content.content["annotations"] or not self._tally.rows:
            return {"mAP": math.nan}
        precision = MaskPrecision(self._content.content, self._tally.rows)
        found = {"mAP": precision.figures["AP"]}
        if (interval := precision.intervals().get("AP")) is not None:
            found["mAP_low"], found["mAP_high"] = interval
        return found | {f"TIDE_{error.kind}": error.cost for error in precision.errors}

    def evaluated(self) -> Evaluated:
        """All that was found, for tables and reports."""
        result = MethodResult(
            name=self.config.pred_field,
            outcomes=self._tally.outcomes,
            named=True,
            rows=self._tally.rows,
            detector_rows=[],
            surplus=self._tally.surplus,
            seconds=math.nan,
            cost=None,
            others=tuple(self._others),
        )
        return Evaluated(
            vocabulary=self._fields.vocabulary,
            protocol=self.config.protocol,
            paths=tuple(self._paths),
            methods=(result,),
            truth=self._content.content,
            federated=False,
            problems=tuple(self._problems),
            notes=self._fields.notes,
            min_iou=self._min_iou,
        )


def _detections(label: fo.Detections | None) -> list[fo.Detection]:
    return [] if label is None else list(label.detections or [])


def _write(
    label: fo.Detection, eval_key: str | None, result: str, other: str, iou: float | None
) -> None:
    if eval_key is not None:
        label[eval_key], label[f"{eval_key}_id"], label[f"{eval_key}_iou"] = result, other, iou


def _named(rows: Mapping[str, Row]) -> dict[str, float]:
    """The paper's names for rows by their mark; NaN for those without instances."""
    figures = {f"IoU{mark}": row.iou for mark, row in rows.items()}
    figures |= {f"Acc{mark}": row.accuracy for mark, row in rows.items()}
    return figures
