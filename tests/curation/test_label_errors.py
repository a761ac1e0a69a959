"""Likely mistakes in a ground truth, as a view."""

from __future__ import annotations

import fiftyone as fo
import pytest

from ovsam_plugin.curation.decisions import undo
from ovsam_plugin.curation.label_errors import evaluations_of, label_errors, take_models_names
from ovsam_plugin.evaluation.evaluate import evaluate_dataset
from tests.curation.run_by_hand import add_run, add_truth, evaluate


@pytest.fixture
def evaluated(dataset: fo.Dataset) -> fo.Dataset:
    """Three photographs with cat and cup each, of which the run names some otherwise."""
    add_truth(dataset)
    add_run(dataset)
    evaluate(dataset)
    return dataset


def test_confident_contradictions_come_first(evaluated: fo.Dataset) -> None:
    view = label_errors(evaluated, "ovsam_eval", min_score=0)
    # By the run: cup is cat by 0.3 and 0.8, cat is cup by 0.5 and otter by 0.2.
    assert [patch.truth.label for patch in view] == ["cup", "cat", "cup", "cat"]
    first = evaluated[evaluated.values("id")[1]]["truth"].detections[1]
    assert view.values("id")[0] == first.id
    assert len(label_errors(evaluated, "ovsam_eval", min_score=0.4)) == 2
    assert len(label_errors(evaluated, "ovsam_eval")) == 2  # of 0.3 and more


def test_the_model_s_label_lies_beside_the_truth_s_and_no_other(evaluated: fo.Dataset) -> None:
    view = label_errors(evaluated, "ovsam_eval", min_score=0)
    beside = [(p.truth.label, [d.label for d in p.ovsam.detections]) for p in view]
    assert beside == [("cup", ["cat"]), ("cat", ["cup"]), ("cup", ["cat"]), ("cat", ["otter"])]
    assert all(p.truth.ovsam_eval_id == p.ovsam.detections[0].id for p in view)


def test_the_models_names_are_taken_in_one_step_and_given_back_in_one(
    evaluated: fo.Dataset,
) -> None:
    before = evaluated.values("truth.detections.label")
    ids = label_errors(evaluated, "ovsam_eval", min_score=0).values("id")
    assert evaluations_of(evaluated, "truth") == ["ovsam_eval"]
    assert evaluations_of(evaluated, "ovsam") == []
    assert take_models_names(evaluated, "ovsam_eval", ids[:2], by="ada") == 2
    assert label_errors(evaluated, "ovsam_eval", min_score=0).values("id") == ids[2:]
    taken = {label.id: label for s in evaluated for label in s["truth"].detections}
    assert [taken[i].label for i in ids[:2]] == ["cat", "cup"]
    assert [taken[i]["predicted_label"] for i in ids[:2]] == ["cup", "cat"]
    assert sorted(undo(evaluated, "truth", by="ada")) == sorted(ids[:2])
    evaluated.reload()
    assert evaluated.values("truth.detections.label") == before
    with pytest.raises(ValueError, match="1 of 1 labels are paired with no named prediction"):
        take_models_names(evaluated, "ovsam_eval", ["6" * 24])


def test_a_name_among_the_best_five_is_no_mistake_where_it_is_as_likely(
    evaluated: fo.Dataset,
) -> None:
    sample = evaluated[evaluated.values("id")[1]]
    label = sample["ovsam"].detections[1]
    label["top_labels"], label["top_scores"] = ["cat", "Cup"], [0.8, 0.79]
    sample.save()
    view = label_errors(evaluated, "ovsam_eval", min_score=0.1)
    assert sample["truth"].detections[1].id not in view.values("id")


def test_an_evaluation_that_is_not_there_is_a_clear_error(evaluated: fo.Dataset) -> None:
    with pytest.raises(ValueError, match="no evaluation 'eval'; there are 'ovsam_eval'"):
        label_errors(evaluated, "eval")


def test_an_evaluation_of_another_method_is_refused(evaluated: fo.Dataset) -> None:
    evaluated.evaluate_detections("ovsam", gt_field="truth", eval_key="plain")
    with pytest.raises(ValueError, match="with method 'coco', which pairs equal names only"):
        label_errors(evaluated, "plain")


def test_mistakes_of_all_slices_are_found(two_slices: fo.Dataset) -> None:
    both = two_slices.select_group_slices(["left", "right"])
    both.compute_metadata(num_workers=1, progress=False)
    for sample in both.iter_samples(autosave=True):
        sample["truth"] = sample["ovsam"].copy()
        for label in sample["truth"].detections:
            label.label, label.review = "lynx", None
    settings = {"protocol": "everything", "resize_masks": True, "progress": False}
    evaluate_dataset(both, "ovsam", "truth", eval_key="e", **settings)
    assert len(label_errors(two_slices, "e", min_score=0)) == 5
    assert len(label_errors(two_slices.view(), "e", min_score=0)) == 3
