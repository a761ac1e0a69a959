"""Where a run may write, known before any model is loaded."""

from __future__ import annotations

import fiftyone as fo
import pytest

from ovsam_plugin.dataset.request import LabelRequest
from ovsam_plugin.dataset.target_field import free_field

SAME = {
    "vocabulary": "names",
    "names": "cat, cup, person, spoon",
    "prompts": "box",
    "prompt_field": "asks",
}


def test_the_first_run_goes_to_ovsam(dataset: fo.Dataset) -> None:
    assert LabelRequest().target_field(dataset) == "ovsam"
    assert LabelRequest().left(dataset) == 3


def test_the_same_settings_go_on_where_they_were(named: fo.Dataset) -> None:
    request = LabelRequest.from_params(SAME)
    assert request.target_field(named) == "ovsam"
    assert request.problems(named) == {}
    assert request.left(named) == 0


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"names": "cat, dog"}, "names"),
        ({"prompts": "everything"}, "kind or field of prompts"),
        ({"min_confidence": 0.3}, "minimum confidence"),
        ({"tiles": "off"}, "tiles"),
    ],
)
def test_other_settings_go_to_a_free_field_or_say_what_is_there(
    named: fo.Dataset, change: dict[str, object], what: str
) -> None:
    request = LabelRequest.from_params({**SAME, **change})
    assert request.target_field(named) == "ovsam_2"
    assert request.problems(named) == {}
    told = LabelRequest.from_params({**SAME, **change, "field": "ovsam"}).problems(named)
    assert told == {
        "field": f"'ovsam' holds labels of 3 photographs, made with other settings ({what}): "
        "choose another field ('ovsam_2' is free), or tick \"Replace existing labels\""
    }
    again = LabelRequest.from_params({**SAME, **change, "field": "ovsam", "overwrite": True})
    assert again.problems(named) == {}
    part = again.problems(named.limit(1))
    assert "2 of them outside what is labelled here" in part["field"]


def test_labels_of_others_are_told_with_a_free_field(named: fo.Dataset) -> None:
    request = LabelRequest.from_params({"vocabulary": "coco", "field": "asks"})
    told = request.problems(named)["field"]
    assert "'asks' holds labels of 3 photographs, made by something other than this plugin" in told
    assert "'ovsam_coco' is free" in told


def test_a_field_that_asks_or_is_of_another_type_is_told_with_a_free_one(
    named: fo.Dataset,
) -> None:
    told = LabelRequest.from_params({**SAME, "field": "asks"}).problems(named)
    assert told["field"] == (
        "'asks' holds the prompts: labels must go to another field; 'ovsam_2' is free"
    )
    told = LabelRequest.from_params({**SAME, "field": "filepath"}).problems(named)
    assert told["field"].endswith("; 'ovsam_2' is free")


def test_a_free_name_is_nobodys(dataset: fo.Dataset) -> None:
    assert free_field(dataset, "lvis") == "ovsam"
    dataset.add_sample_field("ovsam", fo.StringField)
    assert free_field(dataset, "imagenet-1k") == "ovsam_imagenet_1k"
    dataset.add_sample_field("ovsam_2", fo.StringField)
    assert free_field(dataset, "custom") == "ovsam_3"
    assert free_field(dataset, "My Names.txt") == "ovsam_my_names"


def test_the_slider_at_its_start_is_as_good_as_not_given() -> None:
    lite = LabelRequest.from_params({"min_objectness_15": 0.15, "min_confidence": 0})
    assert (lite.min_objectness, lite.min_confidence) == (None, None)
    assert LabelRequest.from_params({"min_objectness_15": 0.4}).min_objectness == 0.4
    other = {"preset": "ovsam-rn50x16-lvis", "min_objectness_15": 0.4}
    assert LabelRequest.from_params(other).min_objectness is None
    boxes = {"prompts": "box", "min_objectness_0": 0.0, "min_objectness_15": 0.5}
    assert LabelRequest.from_params(boxes).min_objectness is None


def test_one_name_is_a_vocabulary(dataset: fo.Dataset) -> None:
    request = LabelRequest.from_params({"vocabulary": "names", "names": "lvis"})
    assert request.vocabulary_spec() == "lvis,"
    assert request.problems(dataset) == {}
