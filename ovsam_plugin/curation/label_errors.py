"""Likely mistakes in a ground truth, as an evaluation of a run shows them."""

from __future__ import annotations

import fiftyone.core.view as fov
import numpy as np
from bson import ObjectId
from fiftyone import ViewField as F

from ovsam_plugin.curation.label_table import LabelTable
from ovsam_plugin.dataset.targets import Samples, root_dataset
from ovsam_plugin.evaluation.backend import OvsamEvaluation, OvsamEvaluationConfig
from ovsam_plugin.scoring.label_errors import MIN_IOU, Pairs, likely_mistakes
from ovsam_plugin.vocabulary.names import name_key


def label_errors(
    samples: Samples, eval_key: str, *, min_score: float = 0.0, min_iou: float = MIN_IOU
) -> fov.DatasetView:
    """True instances whose name the model confidently contradicts, the likeliest mistake first.

    Args:
        samples: a dataset or view.
        eval_key: of an evaluation made with the method `ovsam` (the operator `evaluate`,
            `evaluate_dataset`).
        min_score: least score, 0 to 1: the probability of the model's name less that of the
            truth's.
        min_iou: least overlap of the two masks, 0 to 1.

    Returns:
        Patches of the ground truth.

    Raises:
        ValueError: there is no such evaluation, it is of another method, or it pairs no labels
            with predictions.
    """
    dataset = root_dataset(samples)
    if not dataset.has_evaluation(eval_key):
        there = ", ".join(map(repr, dataset.list_evaluations())) or "none: run evaluate_dataset"
        raise ValueError(f"there is no evaluation {eval_key!r}; there are {there}")
    config = OvsamEvaluation.get_run_info(dataset, eval_key).config
    if not isinstance(config, OvsamEvaluationConfig):
        raise ValueError(
            f"evaluation {eval_key!r} is of method {config.method!r}, which pairs equal names "
            "alone: make one with evaluate_dataset, or method='ovsam'"
        )
    gt_field, pred_field = config.gt_field, config.pred_field
    match, overlap = f"{eval_key}_id", f"{eval_key}_iou"
    truth = LabelTable.read(samples, gt_field, ("label", match, overlap))
    found = LabelTable.read(
        samples, pred_field, ("label", "confidence", "top_labels", "top_scores")
    )
    row_of = {label_id: row for row, label_id in enumerate(found.ids)}
    pairs = [
        (row, row_of[other])
        for row, other in enumerate(truth.columns[match])
        if other in row_of and truth.columns["label"][row]
    ]
    if not pairs and len(truth):
        raise ValueError(
            f"evaluation {eval_key!r} pairs no label of {gt_field!r} with one of {pred_field!r}: "
            "make it with method 'ovsam', on masks"
        )
    order = likely_mistakes(_pairs(truth, found, pairs, overlap), min_score, min_iou)
    ids = [truth.ids[pairs[i][0]] for i in order]
    view = dataset.filter_labels(gt_field, F("_id").is_in([ObjectId(i) for i in ids]))
    patches: fov.DatasetView = view.to_patches(gt_field)
    return patches.select(ids, ordered=True)


def _pairs(
    truth: LabelTable, found: LabelTable, pairs: list[tuple[int, int]], overlap: str
) -> Pairs:
    """The same pairs as columns, names as they are compared."""
    wanted = [name_key(truth.columns["label"][t]) for t, _ in pairs]
    named = [found.columns["label"][p] for _, p in pairs]
    names, scores = found.columns["top_labels"], found.columns["top_scores"]
    tops = [dict(zip(map(name_key, names[p] or ()), scores[p] or ())) for _, p in pairs]
    return Pairs(
        truth=wanted,
        predicted=[None if name is None else name_key(name) for name in named],
        iou=np.nan_to_num(truth.numbers(overlap)[[t for t, _ in pairs]]),
        confidence=np.nan_to_num(found.numbers("confidence")[[p for _, p in pairs]]),
        truth_score=np.array([top.get(name, 0.0) for top, name in zip(tops, wanted)]),
    )
