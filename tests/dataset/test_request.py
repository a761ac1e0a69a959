"""A filled-in labelling form, before any model is loaded."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import pytest

from ovsam_plugin.dataset.request import LabelRequest

OWN: dict[str, Any] = {"vocabulary": "names", "names": "cat, cup"}


def test_what_is_asked_is_said_as_the_library_takes_it(boxed: fo.Dataset) -> None:
    asked = {**OWN, "prompts": "box", "prompt_field": "asks", "find": "left over", "field": "mine"}
    request = LabelRequest.from_params(asked)
    told = request.arguments(boxed)
    assert (told["box_field"], told["label_field"], told["vocabulary"]) == (
        "asks", "mine", "cat, cup",
    )  # fmt: skip
    assert told["find"] is None  # nobody looks for words here
    assert told["overwrite"] is False
    assert request.prompt_field_choices(boxed) == ["asks"]


def test_a_slider_at_its_start_is_as_good_as_not_moved() -> None:
    start = LabelRequest().objectness_start
    assert start == 0.15
    moved = {"min_objectness_15": 0.4}
    assert LabelRequest.from_params({"min_objectness_15": start}).min_objectness is None
    assert LabelRequest.from_params(moved).min_objectness == 0.4
    assert LabelRequest.from_params({"min_confidence": 0.0}).min_confidence is None
    # Another model's slider is another question.
    other = {**moved, "preset": "ovsam-rn50x16-lvis"}
    assert LabelRequest.from_params(other).min_objectness is None
    assert LabelRequest.from_params({"prompts": "box"}).objectness_start == 0.0
    assert LabelRequest.from_params({"all_candidates": True}).objectness_start == 0.0


def test_a_stricter_class_counts_only_beside_the_preview(dataset: fo.Dataset) -> None:
    asked = {**OWN, "strict_class": "cat", "strict_confidence": 0.7}
    assert LabelRequest.from_params(asked).calibration(dataset) is None
    shown = LabelRequest.from_params({**asked, "preview": True}).calibration(dataset)
    assert shown is not None
    assert shown.thresholds == {"cat": 0.7}
    gone = LabelRequest.from_params({**asked, "preview": True, "names": "dog"})
    assert gone.calibration(dataset) is None


def test_previews_are_apart_by_what_they_show(dataset: fo.Dataset) -> None:
    first = LabelRequest.from_params(OWN).preview_keys(dataset)
    assert LabelRequest.from_params({**OWN, "field": "mine"}).preview_keys(dataset) == first
    named, looked = LabelRequest.from_params({**OWN, "names": "dog"}).preview_keys(dataset)
    assert named != first[0]
    assert looked == first[1]  # the network has looked already
    for other in (dataset.limit(1), dataset):
        tiles = "2" if other is dataset else "auto"
        asked = LabelRequest.from_params({**OWN, "tiles": tiles})
        assert asked.preview_keys(other)[1] != first[1]


@pytest.mark.parametrize(
    ("asked", "at", "told"),
    [
        ({"preset": "ovsam-huge"}, "preset", "there is no model 'ovsam-huge'"),
        ({"tiles": "many"}, "tiles", "tiles is 'auto', 'off' or a number from 2 to 16"),
        ({"prompts": "find"}, "find", "enter the words to look for"),
        ({"prompts": "point"}, "prompt_field", "no field holds points"),
        ({"preset": "sam-clip"}, "weights", "draws its masks with a segment_anything checkpoint"),
        ({"field": "no name"}, "field", "cannot be a label field"),
    ],
)
def test_what_is_wrong_is_told_at_its_question(
    dataset: fo.Dataset, asked: dict[str, Any], at: str, told: str
) -> None:
    problems = LabelRequest.from_params({**OWN, **asked}).problems(dataset)
    assert list(problems) == [at]
    assert told in problems[at]


def test_a_view_of_nothing_and_a_grid_of_patches_are_told(labelled: fo.Dataset) -> None:
    request = LabelRequest.from_params({**OWN, "field": "mine"})
    assert request.problems(labelled) == {}
    assert "there are no photographs here" in request.problems(labelled.limit(0))["view_target"]
    told = request.problems(labelled.to_patches("ovsam"))["view_target"]
    assert "clear the view, with the cross" in told
