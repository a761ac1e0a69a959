"""How a run's field is coloured, and how that is undone."""

from __future__ import annotations

import fiftyone as fo
import pytest

from ovsam_plugin.curation.colours import (
    add_colours,
    check_colour_by,
    has_colours,
    remove_colours,
    shown_colours,
)

FIELD = "ovsam"


def test_decisions_have_colours_of_their_own_and_labels_the_app_s(dataset: fo.Dataset) -> None:
    add_colours(dataset, FIELD, "label")
    assert shown_colours(dataset)["fields"] == [
        {"path": FIELD, "colorByAttribute": "label", "valueColors": []}
    ]
    add_colours(dataset, FIELD, "review")
    (entry,) = shown_colours(dataset)["fields"]
    assert [row["value"] for row in entry["valueColors"]] == ["accepted", "renamed", "rejected"]
    assert shown_colours(dataset)["color_by"] == "value"


def test_only_a_field_with_an_entry_has_colours(dataset: fo.Dataset) -> None:
    assert shown_colours(dataset) == {}
    assert not has_colours(dataset, FIELD)
    add_colours(dataset, "other", "label")
    assert has_colours(dataset, "other")
    assert not has_colours(dataset, FIELD)


def test_what_was_none_is_none_again(dataset: fo.Dataset) -> None:
    made = add_colours(dataset, FIELD, "review")
    remove_colours(dataset, FIELD, made, last=True)
    dataset.reload()
    assert dataset.app_config.color_scheme is None
    remove_colours(dataset, FIELD, made, last=True)  # nothing is left to undo


def test_the_scheme_stays_as_long_as_another_run_is_coloured(dataset: fo.Dataset) -> None:
    made = add_colours(dataset, FIELD, "label")
    add_colours(dataset, "other", "label")
    remove_colours(dataset, FIELD, made, last=False)
    assert shown_colours(dataset)["color_by"] == "value"
    assert has_colours(dataset, "other")
    assert not has_colours(dataset, FIELD)


def test_what_a_person_chose_before_or_since_stays(dataset: fo.Dataset) -> None:
    dataset.app_config.color_scheme = fo.ColorScheme(color_by="field")
    made = add_colours(dataset, FIELD, "label")
    assert shown_colours(dataset)["color_by"] == "field"
    dataset.app_config.color_scheme.opacity = 0.25
    remove_colours(dataset, FIELD, made, last=True)
    assert shown_colours(dataset) == {"color_by": "field", "opacity": 0.25}


def test_another_way_to_colour_is_refused_with_those_there_are() -> None:
    assert check_colour_by("review") == "review"
    with pytest.raises(ValueError, match="coloured by 'size': choose one of label, review"):
        check_colour_by("size")
