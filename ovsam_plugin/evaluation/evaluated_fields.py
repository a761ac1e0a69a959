"""Two label fields that may be held against each other, or the reason why not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import fiftyone.core.collections as foc
import numpy as np

from ovsam_plugin.dataset.targets import check_detections, check_images
from ovsam_plugin.evaluation.protocols import PAIRED
from ovsam_plugin.evaluation.splits import (
    apply_split,
    fitting_vocabulary,
    merged_classes,
    require_classes,
)
from ovsam_plugin.vocabulary.sources import load_vocabulary
from ovsam_plugin.vocabulary.vocabulary import Category, Vocabulary


@dataclass(frozen=True)
class EvaluatedFields:
    """What both fields' names mean.

    Attributes:
        vocabulary: the classes, with the split.
        labels: the place of each name in the ground truth; -1 where a split leaves it out.
        notes: names of the ground truth that the vocabulary does not tell apart.
    """

    vocabulary: Vocabulary
    labels: Mapping[str, int]
    notes: tuple[str, ...] = ()

    @classmethod
    def check(
        cls,
        samples: foc.SampleCollection,
        pred_field: str,
        gt_field: str,
        *,
        protocol: str,
        vocabulary: str | Sequence[str] | None,
        split: str | None,
    ) -> EvaluatedFields:
        """Whether they can be evaluated; reads aggregates only.

        Args:
            samples: that both fields are of.
            pred_field, gt_field: fields of Detections.
            protocol, vocabulary, split: as for `OvsamEvaluationConfig`.

        Raises:
            ValueError: samples are not images, a field is unknown, of another type or empty, fields
                are swapped, there are no masks, no prediction names who asked for it, or a class is
                not in the vocabulary.
        """
        pred, truth = pred_field, gt_field
        check_images(samples)
        for name in (pred, truth):
            check_detections(samples, name)
        if pred == truth:
            raise ValueError(f"{pred!r} cannot be compared with itself: give two fields")
        if not samples.count(f"{truth}.detections"):
            raise ValueError(
                f"field {truth!r} holds no labels here: there is nothing to compare with"
            )
        check_not_swapped(samples, pred, truth)
        if not has_masks(samples, truth):
            raise ValueError(
                f"no label of {truth!r} has a mask: IoU is measured on masks here; for boxes, use "
                'method="coco"'
            )
        if protocol in PAIRED:
            check_askers(samples, pred, truth, protocol)
        return cls.named(samples, truth, vocabulary=vocabulary, split=split)

    @classmethod
    def named(
        cls,
        samples: foc.SampleCollection,
        gt_field: str,
        *,
        vocabulary: str | Sequence[str] | None,
        split: str | None,
    ) -> EvaluatedFields:
        """What the classes of the ground truth mean by the vocabulary and the split.

        Raises:
            ValueError: there are none, or one is not in the vocabulary, or the split leaves all
                out.
        """
        names = [n for n in samples.distinct(f"{gt_field}.detections.label") if n]
        if not names:
            raise ValueError(f"no label of {gt_field!r} has a class: no prediction can be right")
        classes = Vocabulary(gt_field, tuple(map(Category, names)))
        full = fitting_vocabulary(classes) if vocabulary is None else load_vocabulary(vocabulary)
        used = Vocabulary(full.name, tuple(replace(c, split=None) for c in full))
        if split is not None:
            used = apply_split(used, split)
        places = require_classes(classes, used)
        if split:
            places[np.array([used.categories[place].split is None for place in places])] = -1
        if (places < 0).all():
            raise ValueError(f"the split {split} leaves out every class of the ground truth")
        notes = merged_classes(classes, places, used)
        return cls(used, dict(zip(names, places.tolist())), notes)


def has_masks(samples: foc.SampleCollection, field: str) -> bool:
    """Whether any label of a field of detections has a mask."""
    return _has(samples, f"{field}.detections", "mask", "mask_path")


def check_not_swapped(samples: foc.SampleCollection, pred: str, truth: str) -> None:
    """Whether predictions and ground truth are not the other way round.

    Raises:
        ValueError: they are: only the ground truth has confidences.
    """
    if not _has(samples, f"{pred}.detections", "confidence") and _has(
        samples, f"{truth}.detections", "confidence"
    ):
        raise ValueError(
            f"the labels of {truth!r} have confidences and those of {pred!r} have none: the "
            "prediction and ground-truth fields are swapped"
        )


def check_askers(samples: foc.SampleCollection, pred: str, truth: str, protocol: str) -> None:
    """Whether labels of the ground truth asked for the predictions, as a paired protocol needs.

    Raises:
        ValueError: none did.
    """
    path = f"{pred}.detections.prompt_id"
    if samples.get_field(path) is not None:
        asked = set(samples.values(path, unwind=True))
    else:  # an attribute that nobody declared is there all the same
        labels = samples.values(f"{pred}.detections", unwind=True)
        asked = {label.get_attribute_value("prompt_id", None) for label in labels if label}
    if asked.isdisjoint(samples.values(f"{truth}.detections.id", unwind=True)):
        asks = "box_field" if protocol == "box" else "point_field"
        field = repr(truth) if protocol == "box" else f"center_points(samples, {truth!r})"
        raise ValueError(
            f"no prediction of {pred!r} was prompted by a label of {truth!r}: label with "
            f"{asks}={field} first, or evaluate with the protocol detector or everything"
        )


def _has(samples: foc.SampleCollection, path: str, *attributes: str) -> bool:
    paths = [f"{path}.{attribute}" for attribute in attributes]
    return any(samples.get_field(p) is not None and samples.count(p) for p in paths)
