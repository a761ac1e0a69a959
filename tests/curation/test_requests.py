"""The forms of relabelling and naming, read without the App."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import pytest

from ovsam_plugin.curation.decisions import accept
from ovsam_plugin.curation.requests import NamingRequest, RelabelRequest
from tests.curation.run_by_hand import add_relabelled, add_run, add_truth

OWN: dict[str, Any] = {"vocabulary": "names", "names": "tiger"}


@pytest.fixture
def run(dataset: fo.Dataset) -> fo.Dataset:
    """A run, and names made anew from it, which FiftyOne lists before it."""
    add_truth(dataset)
    add_run(dataset)
    add_relabelled(dataset, "ovsam", "again", {"cat": "tiger"})
    return dataset


def test_a_labelling_is_chosen_before_what_was_named_anew_from_it(run: fo.Dataset) -> None:
    assert RelabelRequest().run(run) == "ovsam"
    assert RelabelRequest(field="again").run(run) == "again"
    assert RelabelRequest(**OWN).arguments(run) == {
        "pred_field": "ovsam",
        "vocabulary": "tiger,",
        "label_field": None,
        "min_confidence": None,
        "overwrite": False,
    }


def test_the_field_of_the_names_is_known_before(run: fo.Dataset) -> None:
    assert RelabelRequest(vocabulary="coco").target_field(run) == "ovsam_coco"
    assert RelabelRequest(vocabulary="coco", field="again").target_field(run) == "again_coco"
    assert RelabelRequest(vocabulary="names").target_field(run) is None  # no names yet
    assert NamingRequest().target_field(run) is None
    assert NamingRequest(field="truth").target_field(run) == "truth_named"
    assert NamingRequest(field="truth", into="mine").target_field(run) == "mine"


def test_without_a_run_or_instances_the_next_step_is_told(dataset: fo.Dataset) -> None:
    told = RelabelRequest(**OWN).problems(dataset)
    assert told["field"] == "no labelling run yet: label the photographs first"
    told = NamingRequest(**OWN).problems(dataset)
    assert told["field"].startswith("no field holds instances: draw boxes or masks")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"into": "again"}, "'again_2' is free"),
        ({"into": "ovsam", "overwrite": True}, "such as 'ovsam_2'"),
        ({"into": "1"}, "cannot be a label field"),
    ],
)
def test_a_field_that_cannot_be_filled_is_told_with_a_free_one(
    run: fo.Dataset, asked: dict[str, Any], told: str
) -> None:
    from ovsam_plugin.dataset import runs

    runs.add_session(run, "again", {"started": runs.now()})  # it was not stopped
    assert told in RelabelRequest(**OWN, **asked).problems(run)["into"]


def test_decisions_in_a_relabelled_field_stay_and_need_no_consent(run: fo.Dataset) -> None:
    accept(run, "again", run.first()["again"].detections[0].id)
    assert RelabelRequest(**OWN, into="again", overwrite=True).at_stake(run) is None
    told = RelabelRequest(**OWN, into="truth", overwrite=True).problems(run)["overwrite_all"]
    assert "field 'truth' holds labels" in told
    assert (
        RelabelRequest(**OWN, into="truth", overwrite=True, overwrite_all=True).consent() == "all"
    )


def test_an_unknown_namer_or_wrong_cuts_are_told_at_the_namer(run: fo.Dataset) -> None:
    asked = NamingRequest(**OWN, field="truth", namer="nobody")
    assert list(asked.problems(run)) == ["namer"]
    asked = NamingRequest(**OWN, field="truth", namer="openclip:ViT-B-32/x", cuts="wide")
    assert list(asked.problems(run)) == ["namer"]
    assert NamingRequest(**OWN, field="truth").problems(run) == {}


def test_naming_without_a_field_has_no_arguments(run: fo.Dataset) -> None:
    with pytest.raises(ValueError, match="choose the field whose instances are to be named"):
        NamingRequest(**OWN).arguments()
    told = NamingRequest(**OWN, field="truth", fill=True).arguments()
    assert (told["pred_field"], told["fill"], told["overwrite"]) == ("truth", True, False)
