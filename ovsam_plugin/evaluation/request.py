"""A filled-in evaluation form: what is wrong with it, and what it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import fiftyone as fo
import fiftyone.core.collections as foc

from ovsam_plugin.dataset.targets import check_detections, check_images, fields_of, root_dataset
from ovsam_plugin.evaluation.backend import OvsamEvaluationConfig
from ovsam_plugin.evaluation.evaluated_fields import EvaluatedFields
from ovsam_plugin.evaluation.protocols import MIN_IOU

PROTOCOLS = {
    "box": "Each label was asked for by a true box",
    "center-point": "Each label was asked for by a point in a true mask",
    "detector": "Labels were asked for by a detector's boxes",
    "everything": "Nothing was asked for",
}


@dataclass(frozen=True)
class EvaluationRequest:
    """The values of the operator `evaluate`, with the form's own defaults.

    Attributes:
        split: a split of `splits.BUILT_IN_SPLITS`, "none", or "file" with `split_file`.
        vocabulary: a built-in vocabulary, "auto", or "names" or "file" with those.
    """

    pred_field: str = "ovsam"
    gt_field: str = "ground_truth"
    protocol: str = "box"
    split: str = "none"
    split_file: str | None = None
    vocabulary: str = "auto"
    names: str | None = None
    file: str | None = None
    iou: float = MIN_IOU
    resize_masks: bool = False
    eval_key: str | None = None

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> EvaluationRequest:
        """A request from what the form holds; fields left blank have their defaults."""
        known = cls.__dataclass_fields__
        return cls(**{k: v for k, v in params.items() if k in known and v not in (None, "")})

    @property
    def key(self) -> str:
        """The evaluation's name."""
        return self.eval_key or f"{self.pred_field}_eval"

    def fields(self, samples: foc.SampleCollection) -> list[str]:
        """Fields that could be evaluated, or evaluated against."""
        return fields_of(samples, (fo.Detections,))

    def problems(self, samples: foc.SampleCollection) -> dict[str, str]:
        """What is wrong, by the form's field that can put it right; empty when all is well."""
        problems: dict[str, str] = {}
        try:
            check_images(samples)
        except ValueError as error:
            return {"view_target": str(error)}
        for name in ("pred_field", "gt_field"):
            try:
                check_detections(samples, getattr(self, name))
            except ValueError as error:
                problems[name] = str(error)
        if not self.key.isidentifier():
            problems["eval_key"] = f"{self.key!r} is no name: use letters, digits and underscores"
        elif root_dataset(samples).get_field(self.key) is not None:
            problems["eval_key"] = f"the dataset has a field {self.key!r}: choose another name"
        if problems:
            return problems
        try:
            arguments = self.arguments()
        except ValueError as error:
            return {self._blank: str(error)}
        try:
            # FiftyOne's own arguments of `evaluate_detections` are not the method's.
            settings = {k: v for k, v in arguments.items() if k not in ("eval_key",)}
            EvaluatedFields.check(samples, OvsamEvaluationConfig(**settings))
        except (ValueError, TypeError) as error:
            return {"pred_field": str(error)}
        return {}

    def arguments(self) -> dict[str, Any]:
        """Keywords of `evaluate_dataset`.

        Raises:
            ValueError: something that the choices made need is left blank.
        """
        blank = self._blank
        if blank:
            raise ValueError("this is needed for what is chosen above")
        split = {"none": None, "file": self.split_file}.get(self.split, self.split)
        spec = {"auto": None, "names": self.names, "file": self.file}
        return {
            "pred_field": self.pred_field,
            "gt_field": self.gt_field,
            "protocol": self.protocol,
            "split": split,
            "vocabulary": spec.get(self.vocabulary, self.vocabulary),
            "iou": self.iou,
            "resize_masks": self.resize_masks,
            "eval_key": self.key,
        }

    @property
    def _blank(self) -> str:
        """The form's field that is needed and left blank; empty when there is none."""
        needed = {
            "split_file": self.split == "file" and self.split_file,
            "names": self.vocabulary == "names" and self.names,
            "file": self.vocabulary == "file" and self.file,
        }
        return next((name for name, value in needed.items() if value is None), "")
