"""Likely mistakes in a ground truth, as an evaluation of a run shows them."""

from __future__ import annotations

from collections.abc import Iterable

import fiftyone as fo
import fiftyone.core.view as fov
import numpy as np
from bson import ObjectId
from fiftyone import ViewField as F

from ovsam_plugin.curation import decisions
from ovsam_plugin.curation.label_table import LabelTable
from ovsam_plugin.dataset.targets import Samples, all_images, root_dataset
from ovsam_plugin.evaluation.backend import OvsamEvaluation, OvsamEvaluationConfig
from ovsam_plugin.scoring.label_errors import MIN_IOU, Matched, likely_mistakes
from ovsam_plugin.vocabulary.names import name_key

MIN_SCORE = 0.3
"""Minimum score of a likely mistake unless told otherwise: of COCO names of which one in twenty was
made wrong, `ovsam-lite` then lists 17 %, and four of five wrong ones are among them."""


def evaluations(samples: Samples) -> list[str]:
    """The evaluations that can tell of mistakes: those of the method `ovsam`."""
    dataset = root_dataset(samples)
    return [key for key in dataset.list_evaluations() if _config(dataset, key) is not None]


def label_errors(
    samples: Samples, eval_key: str, *, min_score: float = MIN_SCORE, min_iou: float = MIN_IOU
) -> fov.DatasetView:
    """True instances whose name the model confidently contradicts, the likeliest mistake first.

    What a person has decided about is not among them any more.

    Args:
        samples: a dataset or view.
        eval_key: of an evaluation made with the method `ovsam` (the operator `evaluate`,
            `evaluate_dataset`).
        min_score: least score, 0 to 1: the probability of the model's name less that of the
            truth's.
        min_iou: least overlap of the two masks, 0 to 1.

    Returns:
        Patches of the ground truth, each with the model's label beside it.

    Raises:
        ValueError: there is no such evaluation, it is of another method, or it pairs no labels
            with predictions.
    """
    dataset = root_dataset(samples)
    config = _evaluation(dataset, eval_key)
    gt_field, pred_field = config.gt_field, config.pred_field
    match, overlap = f"{eval_key}_id", f"{eval_key}_iou"
    truth = LabelTable.read(samples, gt_field, ("label", match, overlap, "review"))
    found = LabelTable.read(
        samples, pred_field, ("label", "confidence", "top_labels", "top_scores")
    )
    row_of = {label_id: row for row, label_id in enumerate(found.ids)}
    paired = [
        (row, row_of[other])
        for row, other in enumerate(truth.columns[match])
        if other in row_of and truth.columns["label"][row]
    ]
    if not paired and len(truth):
        raise ValueError(
            f"evaluation {eval_key!r} pairs no label of {gt_field!r} with one of {pred_field!r}: "
            "make it with method 'ovsam', on masks"
        )
    pairs = [pair for pair in paired if not truth.columns["review"][pair[0]]]
    order = likely_mistakes(_pairs(truth, found, pairs, overlap), min_score, min_iou)
    ids = [truth.ids[pairs[i][0]] for i in order]
    photographs = all_images(dataset)
    view = photographs.filter_labels(gt_field, F("_id").is_in([ObjectId(i) for i in ids]))
    patches: fov.DatasetView = view.to_patches(gt_field, other_fields=[pred_field])
    beside = F("_id").to_string() == F(f"${gt_field}.{match}")
    return patches.filter_labels(pred_field, beside, only_matches=False).select(ids, ordered=True)


def evaluations_of(samples: Samples, gt_field: str) -> list[str]:
    """Of `evaluations`, those in which a field is the ground truth."""
    dataset = root_dataset(samples)
    keys = dataset.list_evaluations()
    configs = {key: _config(dataset, key) for key in keys}
    return [k for k, c in configs.items() if c is not None and c.gt_field == gt_field]


def take_models_names(
    samples: Samples, eval_key: str, label_ids: Iterable[str], *, by: str | None = None
) -> int:
    """Gives these labels of the ground truth the names of the predictions they are paired with.

    It is a renaming like any other, kept on the labels with who and when, and undone in one step.

    Args:
        samples: a dataset or view.
        eval_key: as for `label_errors`.
        label_ids: labels of the ground truth.
        by: as for `decisions.accept`.

    Returns:
        How many labels changed.

    Raises:
        ValueError: there is no such evaluation, or some labels are paired with none that has a
            name. Nothing is changed then.
    """
    dataset = root_dataset(samples)
    config = _evaluation(dataset, eval_key)
    match = f"{eval_key}_id"
    truth = LabelTable.read(dataset, config.gt_field, (match,))
    found = LabelTable.read(dataset, config.pred_field, ("label",))
    name_of = dict(zip(found.ids, found.columns["label"]))
    pair_of = dict(zip(truth.ids, truth.columns[match]))
    names = {label_id: name_of.get(pair_of.get(label_id) or "") for label_id in label_ids}
    named = {label_id: name for label_id, name in names.items() if name}
    if len(named) < len(names):
        raise ValueError(
            f"{len(names) - len(named)} of {len(names)} labels are paired with no named prediction "
            f"in evaluation {eval_key!r}: nothing was renamed"
        )
    return decisions.rename_each(dataset, config.gt_field, named, by=by)


def _evaluation(dataset: fo.Dataset, eval_key: str) -> OvsamEvaluationConfig:
    """The configuration of an evaluation of ours.

    Raises:
        ValueError: there is no such evaluation, or it is of another method.
    """
    if not dataset.has_evaluation(eval_key):
        there = ", ".join(map(repr, dataset.list_evaluations())) or "none: evaluate a run first"
        raise ValueError(f"there is no evaluation {eval_key!r}; there are {there}")
    config = _config(dataset, eval_key)
    if config is None:
        method = dataset.get_evaluation_info(eval_key).config.method
        raise ValueError(
            f"evaluation {eval_key!r} was made with method {method!r}, which pairs equal names "
            "only: make one with evaluate_dataset, or with method='ovsam'"
        )
    return config


def _config(dataset: fo.Dataset, eval_key: str) -> OvsamEvaluationConfig | None:
    """The same, or None where it is of another method."""
    config = OvsamEvaluation.get_run_info(dataset, eval_key).config
    return config if isinstance(config, OvsamEvaluationConfig) else None


def _pairs(
    truth: LabelTable, found: LabelTable, pairs: list[tuple[int, int]], overlap: str
) -> Matched:
    """The same pairs as columns, names as they are compared."""
    wanted = [name_key(truth.columns["label"][t]) for t, _ in pairs]
    named = [found.columns["label"][p] for _, p in pairs]
    names, scores = found.columns["top_labels"], found.columns["top_scores"]
    tops = [dict(zip(map(name_key, names[p] or ()), scores[p] or ())) for _, p in pairs]
    return Matched(
        truth=wanted,
        predicted=[None if name is None else name_key(name) for name in named],
        iou=np.nan_to_num(truth.numbers(overlap)[[t for t, _ in pairs]]),
        confidence=np.nan_to_num(found.numbers("confidence")[[p for _, p in pairs]]),
        truth_score=np.array([top.get(name, 0.0) for top, name in zip(tops, wanted)]),
    )
