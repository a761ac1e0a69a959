"""Two fields that may be held against each other."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import pytest

from ovsam_plugin.evaluation.evaluate import evaluate_dataset
from tests.evaluation.conftest import locked, other_size

Change = Any


def no_askers(dataset: fo.Dataset) -> None:
    dataset.set_values("said.detections.prompt_id", [[None, None], [], None])


def no_masks(dataset: fo.Dataset) -> None:
    dataset.set_values("truth.detections.mask", [[None, None], [None], None])


def no_truth(dataset: fo.Dataset) -> None:
    dataset.clear_sample_field("truth")


def unnamed(dataset: fo.Dataset) -> None:
    dataset.set_values("truth.detections.label", [[None, None], [None], None])


def locked_truth(dataset: fo.Dataset) -> None:
    locked(dataset, "truth")


def locked_said(dataset: fo.Dataset) -> None:
    locked(dataset, "said.detections")


def unchanged(dataset: fo.Dataset) -> None:
    pass


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (unchanged, {"pred_field": "truth", "gt_field": "said"}, "fields are swapped"),
        (unchanged, {"pred_field": "sayd"}, "there is no field 'sayd'.*'said'"),
        (unchanged, {"gt_field": "filepath"}, "holds StringField, need Detections"),
        (unchanged, {"protocol": "boxes"}, "unknown protocol 'boxes': choose one of box"),
        (unchanged, {"split": "coco"}, "there is no split 'coco'"),
        (unchanged, {"vocabulary": "cat, dog"}, "1 of the classes of truth.*'cup'"),
        (unchanged, {"pred_field": "truth"}, "compared with itself"),
        (no_askers, {}, "no prediction of 'said' was prompted by.*box_field='truth'"),
        (no_masks, {}, "no label of 'truth' has a mask"),
        (no_truth, {}, "'truth' holds no labels"),
        (unnamed, {}, "has a class"),
        (locked_truth, {}, "field 'truth' is read-only. To let it be changed"),
        (locked_said, {}, "field 'said.detections' is read-only. To let it be changed"),
        (other_size, {}, "chelsea.png: the mask of label .* is 28 x 28 and its box 300 x 220"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_and_nothing_is_kept(
    truthful: fo.Dataset, change: Change, options: dict[str, Any], message: str
) -> None:
    change(truthful)
    arguments = {"pred_field": "said", "gt_field": "truth", "eval_key": "e", **options}
    with pytest.raises(ValueError, match=message):
        evaluate_dataset(truthful, **arguments)
    assert truthful.list_evaluations() == []
    assert truthful.get_field("e_tp") is None
    assert truthful.get_field("said.detections.e") is None


def test_a_man_is_no_woman_unless_the_vocabulary_says_so(truthful: fo.Dataset) -> None:
    truthful.set_values("truth.detections.label", [["man", "woman"], ["man"], None])
    truthful.set_values("said.detections.label", [["woman", "man"], [], None])
    evaluated = evaluate_dataset(truthful, "said", "truth").evaluated
    assert evaluated.vocabulary.names == ("man", "woman")
    assert not evaluated.methods[0].outcomes.right.any()
    assert evaluated.notes == ()
    evaluated = evaluate_dataset(truthful, "said", "truth", vocabulary="coco").evaluated
    assert evaluated.methods[0].outcomes.right.tolist() == [True, True, False]
    (note,) = evaluated.notes
    assert note.startswith("'man', 'woman' are one class of the vocabulary 'coco', 'person'")
