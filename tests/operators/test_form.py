"""What forms are made of."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import fiftyone as fo
import pytest
from fiftyone.operators import types

from operators.form import (
    BOXES,
    LABEL_MODELS,
    VOCABULARIES,
    asker,
    chosen_run,
    consent_by,
    flat_target,
    lines,
    mark,
    menu,
    run_menu,
    selected_labels,
    slider,
    vocabulary_menu,
)
from ovsam_plugin.consent import OVERWRITE, OVERWRITE_ALL, ConsentError, Setting
from ovsam_plugin.dataset.zoo_source import MODELS, SAM_MODELS
from ovsam_plugin.vocabulary.tables import BUILT_IN
from tests.curation.run_by_hand import add_run

from .asking import context, questions


@pytest.fixture
def inputs() -> types.Object:
    return types.Object()


def shown(inputs: types.Object) -> dict[str, Any]:
    properties: dict[str, Any] = inputs.to_json()["properties"]
    return properties


def test_a_menu_offers_its_choices_and_describes_the_chosen_one(inputs: types.Object) -> None:
    menu(inputs, "model", {"a": ("Model A", "small"), "b": "Model B"}, "a", "Model")
    menu(inputs, "field", ["x", "y"], "z", "Field")
    asked = shown(inputs)["model"]
    assert (asked["type"]["values"], asked["default"]) == (["a", "b"], "a")
    assert asked["view"]["description"] == "small"
    choices = [(c["value"], c["label"], c["description"]) for c in asked["view"]["choices"]]
    assert choices == [("a", "Model A", "small"), ("b", "Model B", None)]
    # What is chosen and not offered any more is left for the form's own check.
    asked = shown(inputs)["field"]
    assert (asked["type"]["values"], asked["default"]) == (["x", "y"], "z")
    assert not asked["view"]["description"]


def test_a_slider_tells_its_value(inputs: types.Object) -> None:
    slider(inputs, "least", 0.456, 0.0, "Minimum confidence", "of a name")
    asked = shown(inputs)["least"]
    assert asked["view"]["label"] == "Minimum confidence: 0.46"
    assert (asked["type"]["min"], asked["type"]["max"], asked["default"]) == (0, 1, 0.0)


def test_a_vocabulary_of_one_s_own_asks_for_it(inputs: types.Object) -> None:
    vocabulary_menu(inputs, "names", {"lvis": "LVIS", "names": "My own"})
    assert list(shown(inputs)) == ["vocabulary", "names"]
    assert shown(inputs)["names"]["required"]
    other = types.Object()
    vocabulary_menu(other, "file", {"lvis": "LVIS", "file": "A file"})
    assert list(shown(other)) == ["vocabulary", "file"]
    third = types.Object()
    vocabulary_menu(third, "lvis", {"lvis": "LVIS"})
    assert list(shown(third)) == ["vocabulary"]


@pytest.mark.parametrize(
    ("setting", "way"),
    [
        (OVERWRITE, ', or tick "Replace existing labels"'),
        (OVERWRITE_ALL, ', or tick "Also replace labels"'),
        (Setting("anyway"), ""),
    ],
)
def test_an_error_names_the_box_that_allows_it_if_there_is_one(setting: Setting, way: str) -> None:
    with pytest.raises(ValueError, match=f"^it exists: use another{way}$"), consent_by(BOXES):
        raise ConsentError("it exists", "use another", setting)


def test_every_model_and_vocabulary_that_there_is_can_be_chosen() -> None:
    assert set(LABEL_MODELS) == {*MODELS, *SAM_MODELS}
    assert set(VOCABULARIES) == {*BUILT_IN, "names", "file"}


def test_problems_are_shown_at_their_question_or_in_a_line_of_their_own(
    inputs: types.Object,
) -> None:
    inputs.str("field", label="Field")
    inputs.str("other", label="Other")
    mark(inputs, {"field": "there is no such field", "unknown": "nothing is selected"})
    properties = shown(inputs)
    assert properties["field"]["error_message"] == "there is no such field"
    assert properties["unknown_problem"]["error_message"] == "nothing is selected"
    assert [n for n, p in properties.items() if p["invalid"]] == ["field", "unknown_problem"]


def test_the_first_run_is_chosen_where_none_is(dataset: fo.Dataset, inputs: types.Object) -> None:
    assert run_menu(inputs, context("score", dataset)) == ""
    assert "No labelling run yet" in shown(inputs)["none"]["view"]["label"]
    add_run(dataset, "again")
    add_run(dataset, "ovsam")
    assert chosen_run(context("score", dataset)) == "ovsam"
    assert chosen_run(context("score", dataset, params={"field": "again"})) == "again"


def test_labels_and_patches_are_selected_alike(labelled: fo.Dataset, ids: dict[str, str]) -> None:
    chosen = [{"label_id": ids["cat"], "sample_id": labelled.first().id, "field": "ovsam"}]
    assert selected_labels(context("decide", labelled, selected_labels=chosen)) == [ids["cat"]]
    assert selected_labels(context("decide", labelled)) == []
    patches = labelled.to_patches("ovsam")
    request = {"view": patches._serialize(), "selected": [ids["dog"]], "selected_labels": chosen}
    assert selected_labels(context("decide", labelled, **request)) == [ids["dog"]]


def test_groups_by_a_field_are_worked_on_sample_by_sample(labelled: fo.Dataset) -> None:
    labelled.set_values("place", ["in", "in", "out"])
    view = labelled.group_by("place")
    samples = flat_target(context("label", labelled, view=view._serialize()))
    assert sorted(samples.values("id")) == sorted(labelled.values("id"))
    assert samples.media_type == "image"
    assert len(flat_target(context("label", labelled, view=labelled.limit(1)._serialize()))) == 1


@pytest.mark.parametrize(
    ("user", "given", "by"),
    [
        ({"name": "Ada", "email": "a@b.c"}, " ben ", "ben"),
        ({"name": "Ada", "email": "a@b.c"}, None, "Ada"),
        ({"name": "Ada", "email": "a@b.c"}, "  ", "Ada"),
        ({"name": None, "email": "a@b.c"}, "", "a@b.c"),
        ({}, "  ", "the server's"),
        (None, None, "the server's"),
    ],
)
def test_who_asks_is_whom_they_say_then_whom_the_app_knows_then_the_server_s_user(
    user: dict[str, str] | None, given: str | None, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OVSAM_REVIEWER", "the server's")
    ctx: Any = SimpleNamespace(user=None if user is None else SimpleNamespace(**user))
    assert asker(ctx, given) == by


@pytest.mark.parametrize("name", ["label", "evaluate", "relabel"])
def test_of_what_cannot_be_worked_on_nothing_but_the_way_out_is_told(
    labelled: fo.Dataset, name: str
) -> None:
    patches = labelled.to_patches("ovsam")
    (told,) = questions(name, labelled, view=patches._serialize()).values()
    assert "clear the view, with the cross" in told["view"]["label"]
    assert told["invalid"]


def test_an_outcome_of_several_lines_keeps_them_apart() -> None:
    outputs = types.Object()
    lines(outputs, "removed", "Removed")
    told = outputs.to_json()["properties"]["removed"]["view"]
    assert (told["label"], told["name"]) == ("Removed", "LabelValueView")
    assert told["componentsProps"]["value"]["sx"]["whiteSpace"] == "pre-line"
