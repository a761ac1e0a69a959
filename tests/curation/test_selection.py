"""What is selected in the App, as labels."""

from __future__ import annotations

import fiftyone as fo
from fiftyone import ViewField as F

from ovsam_plugin.curation.decisions import accept, reopen
from ovsam_plugin.curation.selection import LABELS, SAMPLES, VIEW, Selection

FIELD = "ovsam"


def test_the_narrowest_choice_comes_first_with_its_count(
    labelled: fo.Dataset, ids: dict[str, str]
) -> None:
    first = labelled.first().id
    selected = Selection(labelled.view(), [first], {FIELD: [ids["cat"], ids["cup2"]]})
    assert selected.choices(FIELD) == {
        LABELS: "The selected labels: 2 of ovsam",
        SAMPLES: "All 3 instances in the 1 selected photographs",
        VIEW: "All 7 instances in the whole dataset",
    }
    accept(labelled, FIELD, ids["cat"])
    some = "All 7 instances in the whole dataset (1 already decided)"
    assert Selection(labelled.view()).choices(FIELD) == {VIEW: some}
    reopen(labelled, FIELD, ids["cat"])
    cats = labelled.filter_labels(FIELD, F("label") == "cat")
    assert Selection(cats).choices(FIELD) == {VIEW: "The instance in view"}


def test_a_choice_is_these_labels_and_no_others(labelled: fo.Dataset, ids: dict[str, str]) -> None:
    chosen = {FIELD: [ids["cat"]]}
    selected = Selection(labelled.view(), [labelled.last().id], chosen)
    assert selected.label_ids(LABELS, FIELD) == chosen
    assert selected.label_ids(SAMPLES, FIELD) == {FIELD: [ids["person"], ids["nothing"]]}
    assert sorted(selected.label_ids(VIEW, FIELD)[FIELD]) == sorted(ids.values())
    cups = labelled.filter_labels(FIELD, F("label") == "cup")
    assert Selection(cups).label_ids(VIEW, FIELD) == {FIELD: [ids["cup"], ids["cup2"]]}


def test_a_patch_is_one_label(labelled: fo.Dataset, ids: dict[str, str]) -> None:
    patches = labelled.to_patches(FIELD)
    selected = Selection(patches, [ids["dog"], ids["spoon"]])
    assert selected.fields[0] == FIELD
    assert selected.choices(FIELD) == {
        SAMPLES: "All 2 instances in the 2 selected patches",
        VIEW: "All 7 instances in view",
    }
    assert selected.label_ids(SAMPLES, FIELD) == {FIELD: [ids["dog"], ids["spoon"]]}
    assert not selected.is_whole


def test_only_a_view_without_stages_is_the_whole_dataset(labelled: fo.Dataset) -> None:
    views = (labelled, labelled.view(), labelled.limit(3), labelled.to_patches(FIELD))
    assert [Selection(view).is_whole for view in views] == [True, True, False, False]


def test_patches_are_made_anew_after_their_labels_have_changed(labelled: fo.Dataset) -> None:
    patches = labelled.to_patches(FIELD)
    sample = labelled.first()
    sample[FIELD].detections[0].label = "tabby"
    sample.save()
    Selection(patches).refresh()
    again = fo.DatasetView._build(labelled, patches._serialize())
    assert again.first()[FIELD].label == "tabby"
    Selection(labelled.view()).refresh()  # nothing is copied there


def test_the_patches_of_an_evaluation_are_patches(labelled: fo.Dataset) -> None:
    labelled.clone_sample_field(FIELD, "truth")
    labelled.evaluate_detections(FIELD, gt_field="truth", eval_key="eval", progress=False)
    patches = labelled.to_evaluation_patches("eval")
    selected = Selection(patches, [patches.first().id])
    assert "in the 1 selected patches" in selected.choices(FIELD)[SAMPLES]
    sample = labelled.first()
    sample[FIELD].detections[0].label = "tabby"
    sample.save()
    selected.refresh()
    again = fo.DatasetView._build(labelled, patches._serialize())
    assert "tabby" in again.distinct(f"{FIELD}.detections.label")
