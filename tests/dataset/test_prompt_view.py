"""A view that chooses by the field that is written, and what it shows of prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone as fo
import pytest
from bson import ObjectId
from fiftyone import ViewField as F

from ovsam_plugin import label_dataset
from ovsam_plugin.curation.decisions import accept
from ovsam_plugin.dataset.prompt_view import prompt_view

FEW: dict[str, Any] = {"vocabulary": "cat, cup, spoon, person", "device": "cpu", "workers": 0}
BY_BOXES = {"box_prompt_field": "asks"}


def names(dataset: fo.Dataset, field: str = "ovsam") -> list[list[str] | None]:
    dataset.reload()
    found: list[list[str] | None] = dataset.values(f"{field}.detections.id")
    return found


VIEWS = {
    "that have labels": lambda d: d.exists("ovsam"),
    "with the most labels": lambda d: d.sort_by(F("ovsam.detections").length(), reverse=True)[:2],
    "with doubtful labels": lambda d: d.filter_labels("ovsam", F("confidence") < 2),
    "with some names": lambda d: d.match_labels(fields="ovsam", filter=F("confidence") >= 0),
    "some and some again": lambda d: d.exists("ovsam")[:2] + d.exists("ovsam")[1:],
    "changed last": lambda d: d.sort_by("last_modified_at", reverse=True)[:2],
}


@pytest.mark.parametrize("which", VIEWS)
@pytest.mark.parametrize("asks", [None, "asks"])
def test_a_view_that_chooses_by_the_labels_is_labelled_again_whole(
    boxed: fo.Dataset, which: str, asks: str | None
) -> None:
    label_dataset(boxed, box_field=asks, progress=False, **FEW)
    before = dict(zip(boxed.values("id"), names(boxed)))
    view = VIEWS[which](boxed)
    chosen = set(view.values("id"))
    settings = {"box_field": asks, "overwrite": True, "progress": False, **FEW}
    if asks and which == "some and some again":
        with pytest.raises(ValueError, match=r"give dataset\.select\(view\.values\('id'\)\)"):
            label_dataset(view, **settings)
        assert dict(zip(boxed.values("id"), names(boxed))) == before
        view = boxed.select(view.values("id"))
    summary = label_dataset(view, **settings)
    assert (summary.samples, summary.labelled, summary.kept) == (len(chosen), len(chosen), 0)
    for sample_id, ids in dict(zip(boxed.values("id"), names(boxed))).items():
        old = before[sample_id]
        assert len(ids or ()) == len(old or ())
        assert (ids == old) == (sample_id not in chosen or not old)


def test_failures_that_are_labelled_again_keep_their_reason_or_get_labels(
    boxed: fo.Dataset,
) -> None:
    path = Path(boxed.first().filepath)
    good = path.read_bytes()
    path.write_bytes(b"no picture")
    label_dataset(boxed, progress=False, **FEW)
    for overwrite in (False, True):
        failed = boxed.exists("ovsam_error")
        again = label_dataset(failed, overwrite=overwrite, progress=False, **FEW)
        assert (again.samples, again.failed) == (1, 1)
        assert len(boxed.exists("ovsam_error")) == 1
    path.write_bytes(good)
    label_dataset(boxed.exists("ovsam_error"), overwrite=True, progress=False, **FEW)
    assert len(boxed.exists("ovsam_error")) == 0
    assert all(names(boxed))


def test_labels_that_the_view_hides_need_consent_too(boxed: fo.Dataset) -> None:
    label_dataset(boxed, box_field="asks", progress=False, **FEW)
    label = boxed.first().ovsam.detections[0]
    accept(boxed, "ovsam", label.id)
    view = boxed.filter_labels("ovsam", F("_id") != ObjectId(label.id), only_matches=False)
    with pytest.raises(ValueError, match="1 that a person decided about"):
        label_dataset(view, box_field="asks", overwrite=True, progress=False, **FEW)


def test_prompts_are_those_that_the_view_shows(boxed: fo.Dataset) -> None:
    sample = boxed.first()
    sample["asks"].detections.append(fo.Detection(label="x", bounding_box=[0.1, 0.1, 0.3, 0.3]))
    sample.save()
    shown = [labels[0] for labels in boxed.values("asks.detections.id") if labels]
    for view in (
        boxed.filter_labels("asks", F("_id").is_in([ObjectId(i) for i in shown])),
        boxed.select_labels(ids=shown),
        boxed.limit_labels("asks", 1),
        boxed.exclude_labels(ids=[sample["asks"].detections[-1].id]).exists("asks"),
    ):
        seen = prompt_view(view, "ovsam", BY_BOXES)
        assert [i for some in seen.values("asks.detections.id") for i in some or ()] == shown
        assert len(seen) == len(boxed)


def test_without_prompts_it_is_all_images(boxed: fo.Dataset, two_slices: fo.Dataset) -> None:
    view = boxed.match(F("filepath").ends_with("png")).sort_by("filepath")[:1]
    for asked in (view, view.filter_labels("asks", F("label") == "no such"), view.exists("asks")):
        assert len(prompt_view(asked, "ovsam", {})) == len(boxed)
    assert len(prompt_view(two_slices.select_group_slices("left"), "ovsam", {})) == len(
        two_slices.select_group_slices(media_type="image")
    )


def test_a_stage_that_cannot_be_taken_apart_may_not_name_what_is_written(boxed: fo.Dataset) -> None:
    view = boxed.mongo([{"$match": {"asks": {"$ne": None}}}])
    assert prompt_view(view, "ovsam", BY_BOXES) == view
    for name in ("ovsam", "ovsam_error", "ovsam.detections.label"):
        with pytest.raises(ValueError, match="the view depends on field 'ovsam'"):
            prompt_view(boxed.mongo([{"$match": {name: None}}]), "ovsam", BY_BOXES)
    other = boxed.mongo([{"$match": {"ovsam_boxes": None}}])
    assert prompt_view(other, "ovsam", BY_BOXES) == other
