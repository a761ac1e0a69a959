"""A group in the App's sidebar, and how it goes again."""

from __future__ import annotations

import fiftyone as fo
import pytest

from ovsam_plugin.curation.sidebar import (
    add_group,
    forget_default_groups,
    remove_group,
    shown_groups,
)

GROUP = "ovsam run"


@pytest.fixture
def fields(dataset: fo.Dataset) -> fo.Dataset:
    """Three fields of labels, and a number of a sample."""
    for name in ("a", "b", "c"):
        dataset.add_sample_field(name, fo.EmbeddedDocumentField, embedded_doc_type=fo.Detections)
    dataset.add_sample_field("number", fo.IntField)
    return dataset


def groups(dataset: fo.Dataset) -> dict[str, list[str]]:
    return {str(g["name"]): list(g["paths"]) for g in shown_groups(dataset)}  # type: ignore[call-overload]


def test_paths_leave_their_groups_for_one_behind_the_labels(fields: fo.Dataset) -> None:
    assert shown_groups(fields) == []
    taken = add_group(fields, GROUP, ["b", "number"])
    assert taken == {"b": ("labels", 1), "number": ("primitives", 1)} or taken["b"] == ("labels", 1)
    shown = groups(fields)
    names = list(shown)
    assert names[names.index("labels") + 1] == GROUP
    assert shown[GROUP] == ["b", "number"]
    assert shown["labels"] == ["a", "c"]
    assert "number" not in shown["primitives"]


def test_a_group_goes_and_its_paths_are_back_in_their_places(fields: fo.Dataset) -> None:
    add_group(fields, "x", [])
    remove_group(fields, "x", [], {})
    before = groups(fields)
    taken = add_group(fields, GROUP, ["b", "number"])
    remove_group(fields, GROUP, ["b", "number"], taken)
    assert groups(fields) == before
    remove_group(fields, GROUP, ["b", "number"], taken)  # it is gone already
    assert groups(fields) == before


def test_what_a_person_put_into_the_group_keeps_it(fields: fo.Dataset) -> None:
    taken = add_group(fields, GROUP, ["b"])
    next(g for g in fields.app_config.sidebar_groups if g.name == GROUP).paths.append("c")
    fields.save()
    assert add_group(fields, GROUP, ["number", "b"])
    assert groups(fields)[GROUP] == ["number", "b", "c"]
    remove_group(fields, GROUP, ["number", "b"], taken)
    assert groups(fields)[GROUP] == ["c"]


def test_a_field_that_was_deleted_meanwhile_is_not_put_back(fields: fo.Dataset) -> None:
    taken = add_group(fields, GROUP, ["b"])
    fields.delete_sample_field("b")
    remove_group(fields, GROUP, ["b"], taken)
    assert not any("b" in paths for paths in groups(fields).values())


def test_groups_that_say_no_more_than_the_app_are_dropped_and_others_stay(
    fields: fo.Dataset,
) -> None:
    taken = add_group(fields, GROUP, ["b"])
    forget_default_groups(fields)
    assert GROUP in groups(fields)
    remove_group(fields, GROUP, ["b"], taken)
    forget_default_groups(fields)
    assert fields.app_config.sidebar_groups is None
    forget_default_groups(fields)
    fields.app_config.sidebar_groups = [fo.SidebarGroupDocument(name="mine", paths=["c"])]
    fields.save()
    forget_default_groups(fields)
    assert groups(fields) == {"mine": ["c"]}
