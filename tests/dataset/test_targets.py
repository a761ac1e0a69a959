"""What may be labelled, and which fields may ask."""

from __future__ import annotations

import fiftyone as fo
import pytest
from fiftyone import ViewField as F

from ovsam_plugin.dataset.targets import (
    check_detections,
    check_images,
    check_prompt_fields,
    check_shown,
    class_fields,
    classes_present,
    fields_of,
    flat,
    near,
    photographs_behind,
    root_dataset,
    with_all_fields,
)

FIELD = "ovsam"


def test_what_is_no_dataset_is_refused_with_the_way_to_load_one() -> None:
    with pytest.raises(TypeError, match=r"got str: load one by its name with fo.load_dataset"):
        root_dataset("my dataset")


def test_a_dataset_and_its_views_may_be_labelled_and_patches_may_not(labelled: fo.Dataset) -> None:
    check_images(labelled)
    check_images(labelled.limit(1))
    patches = labelled.to_patches(FIELD)
    with pytest.raises(ValueError, match="a PatchesView holds copies"):
        check_images(patches)
    with pytest.raises(ValueError, match="clear the view, with the cross"):
        check_shown(patches)
    with pytest.raises(ValueError, match=r"give the view before group_by\(...\)"):
        check_shown(labelled.group_by("filepath"))


def test_the_photographs_behind_patches_have_these_instances_alone(
    labelled: fo.Dataset, ids: dict[str, str]
) -> None:
    chosen = {ids["dog"], ids["spoon"]}
    view = photographs_behind(labelled.to_patches(FIELD).select(list(chosen)), FIELD)
    assert view.values("id") == labelled.values("id")[:2]
    assert set(view.values(f"{FIELD}.detections.id", unwind=True)) == chosen
    assert labelled.count(f"{FIELD}.detections") == 7


def test_patches_that_are_lists_have_their_instances_behind_them(labelled: fo.Dataset) -> None:
    patches = labelled.to_patches(FIELD, keep_label_lists=True)
    for some in (patches, patches.limit(2)):
        view = photographs_behind(some, FIELD)
        behind = view.values(f"{FIELD}.detections.id", unwind=True)
        assert set(behind) == set(some.values(f"{FIELD}.detections.id", unwind=True))


def test_behind_all_patches_of_a_view_is_that_view(
    labelled: fo.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ovsam_plugin.dataset.targets.IDS_A_QUERY", 2)
    few = labelled.skip(1).filter_labels(FIELD, F("label") != "cup")
    patches = few.to_patches(FIELD)
    assert len(patches) > 2
    behind = photographs_behind(patches, FIELD)
    assert behind.values(f"{FIELD}.detections.id") == few.values(f"{FIELD}.detections.id")
    with pytest.raises(ValueError, match="the view chooses 3 patches, and a query takes up to 2"):
        photographs_behind(patches.limit(3), FIELD)


def test_fields_that_a_view_hides_are_seen_and_its_samples_are_the_same(
    labelled: fo.Dataset,
) -> None:
    assert with_all_fields(labelled) is labelled
    some = labelled.skip(1)
    assert with_all_fields(some) is some
    for hiding in (some.select_fields("tags"), some.exclude_fields(FIELD)):
        shown = with_all_fields(hiding.limit(1))
        assert shown.values("id") == labelled.values("id")[1:2]
        assert shown.count(f"{FIELD}.detections") == 2
    patches = labelled.to_patches(FIELD).select_fields()
    assert with_all_fields(patches) is patches


def test_a_field_that_asks_is_there_and_of_its_kind(labelled: fo.Dataset) -> None:
    check_prompt_fields(labelled, {"box_prompt_field": FIELD})
    for name, told in (
        ("ovsm", "there is no field 'ovsm': there is 'ovsam'; need"),
        ("filepath", "field 'filepath' holds StringField, need Detections"),
    ):
        with pytest.raises(ValueError, match=told):
            check_prompt_fields(labelled, {"box_prompt_field": name})
        with pytest.raises(ValueError, match="need Detections"):
            check_detections(labelled, name)
    with pytest.raises(ValueError, match="need Keypoints.*none that fit"):
        check_prompt_fields(labelled, {"point_prompt_field": FIELD})


def test_classes_are_those_of_any_field_of_labels(labelled: fo.Dataset) -> None:
    labelled.add_sample_field("scene", fo.EmbeddedDocumentField, fo.Classification)
    assert fields_of(labelled, (fo.Detections,)) == [FIELD]
    assert class_fields(labelled) == [FIELD, "scene"]
    assert classes_present(labelled.limit(1), FIELD) == ["cat", "cup", "dog", "person", "spoon"]
    with pytest.raises(ValueError, match="'scene' holds no class name yet"):
        classes_present(labelled, "scene")


@pytest.mark.parametrize(
    ("known", "told"),
    [
        ([], " (the dataset has none that fit)"),
        (["ovsam"], ": there is 'ovsam'"),
        (["ovsam_2", "ovsam", "x"], ": there are 'ovsam', 'ovsam_2'"),
        (["b", "a"], ": there are 'a', 'b'"),  # none is like it
    ],
)
def test_near_names_end_a_message(known: list[str], told: str) -> None:
    assert near("ovsm", known) == told


def test_of_groups_all_images_are_meant_and_of_their_views_the_active_slice(
    two_slices: fo.Dataset,
) -> None:
    assert flat(two_slices).values("group.name") == ["left", "right"]
    assert flat(two_slices.view()).values("group.name") == ["left"]
    spoons = two_slices.filter_labels(FIELD, F("label") == "spoon")
    assert len(flat(spoons)) == 0
    spoons.group_slice = "right"
    assert flat(spoons).values(f"{FIELD}.detections.label", unwind=True) == ["spoon"]
    right = two_slices.select_group_slices(["right"], flat=False)
    assert flat(right.filter_labels(FIELD, F("label") == "spoon")).count(f"{FIELD}.detections") == 1
    assert flat(flat(two_slices)).media_type == "image"
    with pytest.raises(ValueError, match=r"give the view before group_by\(...\)"):
        flat(flat(two_slices).group_by("filepath"))
