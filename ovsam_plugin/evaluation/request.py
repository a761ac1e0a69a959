"""A filled-in evaluation form: what is wrong with it, and what it asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Annotated, Any

import fiftyone as fo
import fiftyone.core.collections as foc

from ovsam_plugin.dataset import runs
from ovsam_plugin.dataset.form import Form, one_of
from ovsam_plugin.dataset.prompt_kinds import kind_of
from ovsam_plugin.dataset.targets import check_detections, check_shown, fields_of, root_dataset
from ovsam_plugin.evaluation.evaluated_fields import (
    EvaluatedFields,
    check_askers,
    check_not_swapped,
    has_masks,
)
from ovsam_plugin.evaluation.protocols import MIN_IOU, PAIRED
from ovsam_plugin.evaluation.slices import sliceable, slices_of
from ovsam_plugin.vocabulary.sources import load_vocabulary
from ovsam_plugin.vocabulary.tables import BUILT_IN

PROTOCOLS = {
    "box": "Each label was prompted by a true box",
    "center-point": "Each label was prompted by a point in a true mask",
    "detector": "Labels were prompted by a detector's boxes",
    "everything": "Labels were made without prompts",
}
SPLITS = {
    "none": "All classes together",
    "coco-48-17": "COCO: 48 base, 17 novel",
    "lvis-rare": "LVIS: rare classes are novel",
    "file": "A file",
}
# What each preset's head was trained on, where that is a part of a vocabulary.
_TRAINED_ON = {
    "ovsam-rn50x16-coco": ("coco", "coco-48-17"),
    "ovsam-rn50x16-lvis": ("lvis", "lvis-rare"),
    "ovsam-rn50x16-demo": ("lvis", "lvis-rare"),
}
_NEEDED = "this is needed for what is chosen above"


@dataclass(frozen=True, kw_only=True)
class EvaluationRequest(Form):
    """The values of the operator `evaluate`, with the form's own defaults.

    Attributes:
        protocol: one of `PROTOCOLS`, or "auto" as the run asked.
        split: a split of `splits.BUILT_IN_SPLITS`, "none", "file" with `split_file`, or "auto" by
            what the run's model was trained on.
        vocabulary: a built-in vocabulary, "names" or "file" with those, or "auto" for the run's own
            if it has every true class as one of its own, else the one that fits these.
        eval_key: the evaluation's name; None for one that none has.
        compare: another field whose labels are held against the same truth, or "none".
        slice_by: a field of the samples by which photographs are judged apart too, or "none".
    """

    pred_field: str = "ovsam"
    gt_field: str = "ground_truth"
    protocol: Annotated[str, one_of("auto", *PROTOCOLS)] = "auto"
    split: Annotated[str, one_of("auto", *SPLITS)] = "auto"
    split_file: str | None = None
    vocabulary: str = "auto"
    names: str | None = None
    file: str | None = None
    iou: float = MIN_IOU
    resize_masks: bool = False
    eval_key: str | None = None
    compare: str = "none"
    slice_by: str = "none"

    @classmethod
    def from_params(
        cls, params: Mapping[str, Any], samples: foc.SampleCollection
    ) -> EvaluationRequest:
        """A request from what the form holds; fields left blank have their defaults, or the likely
        one of those that there are."""
        pred = params.get("pred_field")
        return cls.read(params, **_likely_fields(samples, pred if isinstance(pred, str) else None))

    def key(self, samples: foc.SampleCollection) -> str:
        """The evaluation's name."""
        if self.eval_key is not None:
            return self.eval_key
        dataset, first = root_dataset(samples), f"{self.pred_field}_eval"
        names = (first if number == 1 else f"{first}_{number}" for number in count(1))
        return next(n for n in names if self._is_free(dataset, n))

    def protocol_used(self, samples: foc.SampleCollection) -> str:
        """The protocol; where the form leaves it open, what the run's record says was asked."""
        if self.protocol != "auto":
            return self.protocol
        recorded = runs.recorded_settings(root_dataset(samples), self.pred_field) or {}
        asked = recorded.get("prompt_fields") or {}
        if not asked:
            return "everything"
        if any(kind_of(key).protocol == "center-point" for key in asked):
            return "center-point"
        return "box" if next(iter(asked.values())) == self.gt_field else "detector"

    def split_used(self, samples: foc.SampleCollection) -> str:
        """The split, or "none"."""
        if self.split != "auto":
            return self.split
        recorded = runs.recorded(root_dataset(samples), self.pred_field) or {}
        vocabulary, split = _TRAINED_ON.get(str(recorded.get("preset")), ("", "none"))
        return split if recorded.get("vocabulary") == vocabulary else "none"

    def vocabulary_used(self, samples: foc.SampleCollection) -> str | None:
        """As `evaluate_dataset` takes it."""
        if self.vocabulary != "auto":
            return {"names": self.names, "file": self.file}.get(self.vocabulary, self.vocabulary)
        recorded = runs.recorded(root_dataset(samples), self.pred_field) or {}
        name = recorded.get("vocabulary")
        if name not in BUILT_IN:
            return None
        vocabulary = load_vocabulary(name)
        true = [t for t in samples.distinct(f"{self.gt_field}.detections.label") if t]
        found = {vocabulary.find(t) for t in true}
        return name if None not in found and len(found) == len(true) else None

    def fields(self, samples: foc.SampleCollection) -> list[str]:
        """Fields that could be evaluated, or evaluated against."""
        return fields_of(samples, (fo.Detections,))

    def slices(self, samples: foc.SampleCollection) -> list[str]:
        """Fields by which photographs can be judged apart."""
        return sliceable(samples)

    def problems(self, samples: foc.SampleCollection) -> dict[str, str]:
        """What is wrong, by the form's field that can put it right; empty when all is well."""
        steps: tuple[dict[str, Callable[[], object]], ...] = (
            {"view_target": lambda: check_shown(samples)},
            {
                "pred_field": lambda: self._check_field(samples, "pred_field"),
                "gt_field": lambda: self._check_field(samples, "gt_field"),
                "eval_key": lambda: self._check_key(samples),
                self._blank or "split": self._check_blank,
            },
            {
                "pred_field": lambda: self._check_predictions(samples),
                "gt_field": lambda: self._check_truth(samples),
                "compare": lambda: self._check_compared(samples),
                "slice_by": lambda: slices_of(samples, self._sliced, ()),
            },
            {
                "protocol": lambda: self._check_protocol(samples),
                self._vocabulary_input: lambda: self._check_classes(samples, split=False),
            },
            {self._split_input: lambda: self._check_classes(samples, split=True)},
        )
        for checks in steps:
            if found := self.problems_of(checks):
                return found
        return {}

    def arguments(self, samples: foc.SampleCollection) -> dict[str, Any]:
        """Keywords of `evaluate_dataset`.

        Raises:
            ValueError: something that the choices made need is left blank.
        """
        self.check_read()
        self._check_blank()
        split = self.split_used(samples)
        return {
            "pred_field": self.pred_field,
            "gt_field": self.gt_field,
            "protocol": self.protocol_used(samples),
            "split": {"none": None, "file": self.split_file}.get(split, split),
            "vocabulary": self.vocabulary_used(samples),
            "iou": self.iou,
            "resize_masks": self.resize_masks,
            "eval_key": self.key(samples),
            "slice_by": self._sliced,
        }

    @property
    def _sliced(self) -> tuple[str, ...]:
        return () if self.slice_by == "none" else (self.slice_by,)

    @property
    def _vocabulary_input(self) -> str:
        return self.vocabulary if self.vocabulary in ("names", "file") else "vocabulary"

    @property
    def _split_input(self) -> str:
        return "split_file" if self.split == "file" else "split"

    @property
    def _blank(self) -> str:
        """The form's field that is needed and left blank; empty when there is none."""
        needed = {
            "split_file": self.split == "file" and self.split_file,
            "names": self.vocabulary == "names" and self.names,
            "file": self.vocabulary == "file" and self.file,
        }
        return next((name for name, value in needed.items() if value is None), "")

    def _check_blank(self) -> None:
        if self._blank:
            raise ValueError(_NEEDED)

    def _check_field(self, samples: foc.SampleCollection, name: str) -> None:
        if len(self.fields(samples)) < 2:
            raise ValueError(
                "an evaluation needs two fields of instances: label the photographs, and import "
                "or draw the ground truth"
            )
        check_detections(samples, getattr(self, name))

    def _check_predictions(self, samples: foc.SampleCollection) -> None:
        if self.pred_field == self.gt_field:
            raise ValueError("a field cannot be compared with itself: choose two")
        check_not_swapped(samples, self.pred_field, self.gt_field)

    def _check_compared(self, samples: foc.SampleCollection) -> None:
        if self.compare == "none":
            return
        check_detections(samples, self.compare)
        if self.compare in (self.pred_field, self.gt_field):
            raise ValueError("it is already chosen above: choose a third field, or none")
        protocol = self.protocol_used(samples)
        if protocol in PAIRED:
            check_askers(samples, self.compare, self.gt_field, protocol)

    def _check_truth(self, samples: foc.SampleCollection) -> None:
        if not samples.count(f"{self.gt_field}.detections"):
            raise ValueError("it holds no labels here: there is nothing to compare with")
        if not has_masks(samples, self.gt_field):
            raise ValueError(
                "none of its labels has a mask, and masks are what is compared: choose a field "
                "with masks, or draw some in the Annotate tab of a photograph"
            )

    def _check_protocol(self, samples: foc.SampleCollection) -> None:
        protocol = self.protocol_used(samples)
        if protocol not in PAIRED:
            return
        try:
            check_askers(samples, self.pred_field, self.gt_field, protocol)
        except ValueError:
            raise ValueError(
                f"no label of {self.pred_field!r} was prompted by one of {self.gt_field!r}: "
                f"choose {PROTOCOLS['everything']!r}, or label again what is in the boxes of "
                f"{self.gt_field!r}"
            ) from None

    def _check_classes(self, samples: foc.SampleCollection, *, split: bool) -> None:
        chosen = self.arguments(samples)
        try:
            EvaluatedFields.named(
                samples,
                self.gt_field,
                vocabulary=chosen["vocabulary"],
                split=chosen["split"] if split else None,
            )
        except (TypeError, OSError) as error:
            raise ValueError(str(error)) from error

    def _check_key(self, samples: foc.SampleCollection) -> None:
        key, dataset = self.key(samples), root_dataset(samples)
        if not key.isidentifier():
            raise ValueError(f"{key!r} is not a valid name: use letters, digits and underscores")
        if dataset.has_evaluation(key):
            free = EvaluationRequest(pred_field=self.pred_field).key(samples)
            raise ValueError(
                f"there is already an evaluation {key!r}: choose another name ({free!r})"
            )
        if dataset.get_field(key) is not None:
            raise ValueError(f"the dataset already has a field {key!r}: choose another name")

    @staticmethod
    def _is_free(dataset: fo.Dataset, name: str) -> bool:
        return not dataset.has_evaluation(name) and dataset.get_field(name) is None


def _likely_fields(samples: foc.SampleCollection, pred_field: str | None) -> dict[str, str]:
    """The field of a run of ours, and a field of somebody else's to hold it against."""
    fields, dataset = fields_of(samples, (fo.Detections,)), root_dataset(samples)
    made = runs.fields(dataset)
    pred = pred_field or next((f for f in (EvaluationRequest.pred_field, *made) if f in fields), "")
    asked = (runs.recorded_settings(dataset, pred) or {}).get("prompt_fields") or {}
    others = (f for f in fields if f not in made and f != pred)
    gt = next((f for f in (EvaluationRequest.gt_field, *asked.values()) if f in fields), None)
    found = {"pred_field": pred, "gt_field": gt or next(others, "")}
    return {name: field for name, field in found.items() if field}
