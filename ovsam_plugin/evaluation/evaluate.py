"""Labels of a dataset held against its ground truth, in one call."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.core.collections as foc
from fiftyone.utils.eval.detection import DetectionResults

from ovsam_plugin.annotations.masks import deepest_point
from ovsam_plugin.dataset.database import require_database
from ovsam_plugin.dataset.fields import check_writable, describe
from ovsam_plugin.dataset.label_masks import UnreadableMaskError, crop_of
from ovsam_plugin.dataset.sizes import UNSIZED, size_of
from ovsam_plugin.dataset.targets import check_detections, check_images, root_dataset
from ovsam_plugin.evaluation.backend import OvsamEvaluation, OvsamEvaluationConfig
from ovsam_plugin.evaluation.protocols import MIN_IOU
from ovsam_plugin.evaluation.results import Evaluated
from ovsam_plugin.evaluation.slices import slices_of
from ovsam_plugin.renaming import renamed

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class FieldEvaluation:
    """What `evaluate_dataset` gives.

    Attributes:
        results: FiftyOne's own, as the App's Model Evaluation panel shows them.
        evaluated: all that was found, for `figures` and `write_report`.
    """

    results: DetectionResults
    evaluated: Evaluated


def evaluate_dataset(
    samples: foc.SampleCollection,
    pred_field: str = "ovsam",
    gt_field: str = "ground_truth",
    *,
    protocol: str = "box",
    split: str | Path | None = None,
    vocabulary: str | Path | Sequence[str] | None = None,
    eval_key: str | None = None,
    iou: float = MIN_IOU,
    resize_masks: bool = False,
    slice_by: Sequence[str] = (),
    progress: Any = None,
) -> FieldEvaluation:
    """Holds predictions against ground truth, by exact IoU of masks.

    With an `eval_key`, each label gets `<eval_key>` (tp, fp or fn), `<eval_key>_id` (what it is
    paired with) and `<eval_key>_iou`, and the run is shown in the App; an earlier run of that key
    is replaced once the new one is whole.

    Args:
        samples: a dataset or view of images; one whose size nobody knows is left out, see
            `Evaluated.problems`.
        pred_field, gt_field: fields of `Detections` with masks.
        protocol: "box" and "center-point" pair each prediction with the label whose id is its
            `prompt_id`; "detector" and "everything" pair greedily by mask IoU, COCO's rules, the
            surest first: by confidence, with "everything" by objectness times confidence.
        split: as for `apply_split`.
        vocabulary: as for `load_vocabulary`; see `OvsamEvaluationConfig` for when it is not given.
        eval_key: a name for the results; none keeps nothing.
        iou: least IoU of a greedy pair.
        resize_masks: stretch masks of another size over their boxes instead of refusing them.
        slice_by: fields of the samples by which photographs are judged apart too; see `slices_of`.
        progress: as for FiftyOne's methods.

    Returns:
        the results, and all that the tables and reports are made of.

    Raises:
        TypeError: `samples` is no dataset or view.
        ValueError: the fields cannot be held against each other, or a setting is unknown; nothing
            has been written then. Or a mask is of another size than its box, or no image could be
            evaluated; an earlier run of the key is as it was then.
    """
    require_database()
    dataset = root_dataset(samples)
    check_images(samples)
    for field in (pred_field, gt_field):
        check_detections(samples, field)
    slices_of(samples, slice_by, ())  # a field that is not there is refused before any work
    written = eval_key
    if eval_key is not None and dataset.has_evaluation(eval_key):
        settings = OvsamEvaluationConfig(pred_field, gt_field)
        OvsamEvaluation(settings).check_key(samples, eval_key)
        written = _free_key(dataset, eval_key)
    spec: Any = vocabulary
    if isinstance(vocabulary, Path):
        spec = str(vocabulary)
    elif vocabulary is not None and not isinstance(vocabulary, str):
        spec = list(vocabulary)
    try:
        results = samples.evaluate_detections(
            pred_field,
            gt_field=gt_field,
            eval_key=written,
            method=OvsamEvaluationConfig,
            iou=iou,
            protocol=protocol,
            split=None if split is None else str(split),
            vocabulary=spec,
            resize_masks=resize_masks,
            progress=progress,
        )
    except BaseException:  # whoever stops it wants no half of it either
        if written is not None and dataset.has_evaluation(written):
            dataset.delete_evaluation(written)
        raise
    if written != eval_key:
        dataset.delete_evaluation(eval_key)
        dataset.rename_evaluation(written, eval_key)
    evaluated: Evaluated = results.backend.evaluated()
    slices = slices_of(samples, slice_by, results.backend.sample_ids)
    return FieldEvaluation(results, replace(evaluated, slices=slices))


def _free_key(dataset: fo.Dataset, key: str) -> str:
    """A key that no evaluation and no field has, for a run that is to replace another."""
    names = (f"{key}_new{number or ''}" for number in count())
    return next(n for n in names if not dataset.has_evaluation(n) and not dataset.has_field(n))


@renamed(field="label_field")
def center_points(
    samples: foc.SampleCollection, gt_field: str, label_field: str | None = None
) -> str:
    """Writes the point deepest inside each ground-truth mask, to ask with.

    Each keypoint has the id of its label, by which answers are paired: call
    `label_dataset(samples, point_field=...)`, then `evaluate_dataset(protocol="center-point")`.

    Args:
        samples: a dataset or view of images.
        gt_field: a field of `Detections` with masks.
        label_field: where points go; `<gt_field>_centers` when not given.

    Returns:
        The field. A label whose mask cannot be read has no point, nor has an image that gives no
        size, with a warning.

    Raises:
        ValueError: the samples are not images, the field is unknown or holds no detections, or the
            points' field is of another type or read-only.
    """
    dataset = root_dataset(samples)
    check_images(samples)
    check_detections(samples, gt_field)
    label_field = label_field or f"{gt_field}_centers"
    existing = dataset.get_field(label_field)
    if existing is not None and (kind := describe(existing)) != fo.Keypoints.__name__:
        raise ValueError(f"field {label_field!r} holds {kind}, not Keypoints: choose another field")
    check_writable(dataset, label_field)
    if existing is None:
        dataset.add_sample_field(
            label_field,
            fo.EmbeddedDocumentField,
            embedded_doc_type=fo.Keypoints,
            description=f"The point deepest inside each mask of {gt_field}",
        )
    for sample in samples.select_fields([gt_field, label_field, "metadata"]).iter_samples(
        autosave=True
    ):
        size = size_of(sample)
        if size is None:
            logger.warning("%s: %s", sample.filepath, UNSIZED)
            continue
        points = []
        for label in sample[gt_field].detections if sample[gt_field] else []:
            try:
                crop = crop_of(label, size)
            except UnreadableMaskError as error:  # one label must not cost the others
                logger.warning("%s, label %s: %s", sample.filepath, label.id, error)
                continue
            if crop is None or not crop.area:
                continue
            x, y = deepest_point(crop.mask)
            place = ((crop.x + x) / size[1], (crop.y + y) / size[0])
            points.append(fo.Keypoint(id=label.id, points=[place]))
        sample[label_field] = fo.Keypoints(keypoints=points)
    return label_field
