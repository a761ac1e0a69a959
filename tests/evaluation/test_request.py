"""A filled-in evaluation form, read without the App."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone as fo
import pytest

from ovsam_plugin.dataset import runs
from ovsam_plugin.evaluation.evaluate import evaluate_dataset
from ovsam_plugin.evaluation.request import PROTOCOLS, SPLITS, EvaluationRequest
from ovsam_plugin.evaluation.splits import BUILT_IN_SPLITS
from ovsam_plugin.vocabulary import load_vocabulary

ASKED: dict[str, Any] = {"pred_field": "said", "gt_field": "truth"}


def request(**asked: Any) -> EvaluationRequest:
    return EvaluationRequest.read({**ASKED, **asked})


def record(dataset: fo.Dataset, preset: str = "ovsam-lite", **settings: Any) -> None:
    """As if a run with COCO's classes had filled the field."""
    coco = load_vocabulary("coco")
    runs.register(dataset, "said", runs.Settings(preset, "w", "coco", coco.hash, **settings), coco)


def test_every_choice_is_one_that_the_library_has() -> None:
    from ovsam_plugin.evaluation import protocols

    assert set(PROTOCOLS) == set(protocols.PROTOCOLS)
    assert set(SPLITS) - {"none", "file"} == set(BUILT_IN_SPLITS)


def test_likely_fields_are_a_run_of_ours_and_a_field_of_somebody_else(
    truthful: fo.Dataset,
) -> None:
    record(truthful)
    likely = EvaluationRequest.from_params({}, truthful)
    assert (likely.pred_field, likely.gt_field) == ("said", "truth")
    chosen = EvaluationRequest.from_params({"pred_field": "truth", "gt_field": "said"}, truthful)
    assert (chosen.pred_field, chosen.gt_field) == ("truth", "said")


@pytest.mark.parametrize(
    ("prompts", "protocol"),
    [
        ({}, "everything"),
        ({"box_prompt_field": "truth"}, "box"),
        ({"mask_prompt_field": "truth"}, "box"),
        ({"box_prompt_field": "detected"}, "detector"),
        ({"point_prompt_field": "truth_centers"}, "center-point"),
    ],
)
def test_the_protocol_is_what_the_run_s_record_says_was_asked(
    truthful: fo.Dataset, prompts: dict[str, str], protocol: str
) -> None:
    record(truthful, prompt_fields=prompts)
    assert request().protocol_used(truthful) == protocol
    assert request(protocol="everything").protocol_used(truthful) == "everything"


def test_the_split_is_what_the_model_was_trained_on_with_its_vocabulary(
    truthful: fo.Dataset,
) -> None:
    record(truthful)
    assert request().split_used(truthful) == "none"
    record(truthful, "ovsam-rn50x16-coco")
    assert request().split_used(truthful) == "coco-48-17"
    record(truthful, "ovsam-rn50x16-lvis")  # but named from COCO's classes
    assert request().split_used(truthful) == "none"


def test_the_run_s_vocabulary_serves_if_it_has_every_true_class(truthful: fo.Dataset) -> None:
    assert request().vocabulary_used(truthful) is None  # no run is recorded
    record(truthful)
    assert request().vocabulary_used(truthful) == "coco"
    truthful.set_values("truth.detections.label", [["cat", "unicorn"], ["cup"], None])
    assert request().vocabulary_used(truthful) is None
    assert request(vocabulary="names", names="a, b").vocabulary_used(truthful) == "a, b"


def test_a_free_name_is_found_and_one_that_is_taken_is_told(truthful: fo.Dataset) -> None:
    assert request().key(truthful) == "said_eval"
    evaluate_dataset(truthful, "said", "truth", eval_key="said_eval")
    assert request().key(truthful) == "said_eval_2"
    for key, told in (
        ("said_eval", "choose another name ('said_eval_2')"),
        ("filepath", "the dataset already has a field 'filepath'"),
        ("no name", "is not a valid name: use letters"),
    ):
        assert told in request(eval_key=key).problems(truthful)["eval_key"]


@pytest.mark.parametrize(
    ("asked", "at", "told"),
    [
        ({"split": "file"}, "split_file", "needed for what is chosen above"),
        ({"vocabulary": "names"}, "names", "needed for what is chosen above"),
        ({"pred_field": "sayd"}, "pred_field", "there is no field 'sayd'"),
        ({"gt_field": "said"}, "pred_field", "cannot be compared with itself"),
        ({"compare": "truth"}, "compare", "already chosen above"),
        ({"slice_by": "weather"}, "slice_by", "weather"),
        ({"vocabulary": "names", "names": "cat, dog"}, "names", "'cup'"),
        ({"split": "file", "split_file": "/nowhere.json"}, "split_file", "nowhere.json"),
        ({"iou": "high"}, "iou", "enter a number"),
    ],
)
def test_what_is_wrong_is_told_at_its_question(
    truthful: fo.Dataset, asked: dict[str, Any], at: str, told: str
) -> None:
    problems = request(protocol="box", **asked).problems(truthful)
    assert list(problems) == [at]
    assert told in problems[at]


def test_a_protocol_that_pairs_needs_askers(truthful: fo.Dataset) -> None:
    assert request(protocol="box").problems(truthful) == {}
    for sample in truthful.iter_samples(autosave=True):
        for label in sample["said"].detections if sample["said"] else ():
            label["prompt_id"] = None
    assert (
        "was prompted by one of 'truth'" in request(protocol="box").problems(truthful)["protocol"]
    )
    assert request(protocol="everything").problems(truthful) == {}


def test_a_split_of_one_s_own_reaches_the_library(truthful: fo.Dataset, tmp_path: Path) -> None:
    file = tmp_path / "split.json"
    told = request(split="file", split_file=str(file), slice_by="tags").arguments(truthful)
    assert (told["split"], told["slice_by"], told["eval_key"]) == (
        str(file),
        ("tags",),
        "said_eval",
    )
    assert request(split="none").arguments(truthful)["split"] is None
    with pytest.raises(ValueError, match="needed for what is chosen above"):
        request(split="file").arguments(truthful)
