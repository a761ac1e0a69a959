"""Every kind of dataset and view: labelled, or refused with what to do instead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import fiftyone.utils.labels as foul
import numpy as np
import pytest

from ovsam_plugin import (
    center_points,
    evaluate_dataset,
    label_dataset,
    relabel_dataset,
    score_run,
    search,
    setup_workspace,
)
from ovsam_plugin.dataset import embedding_index
from ovsam_plugin.dataset.batch_encoding import BatchEncoder
from ovsam_plugin.dataset.contact_sheet import save_sheet
from ovsam_plugin.dataset.export import field_rows
from ovsam_plugin.dataset.model import OvsamModel
from ovsam_plugin.dataset.overwriting import made_by_hand

NAMES = "cat, cup, person, spoon"
SETTINGS: dict[str, Any] = {
    "vocabulary": NAMES,
    "device": "cpu",
    "workers": 0,
    "progress": False,
    "box_field": "asks",
}
MASK = np.ones((40, 60), dtype=bool)
BOXES = ([0.2, 0.2, 0.6, 0.6], [0.1, 0.4, 0.3, 0.5])


def asks() -> fo.Detections:
    return fo.Detections(
        detections=[fo.Detection(label="thing", bounding_box=list(box)) for box in BOXES]
    )


@pytest.fixture
def boxed(dataset: fo.Dataset) -> fo.Dataset:
    """The photographs in two scenes, each with two boxes that ask."""
    for sample, scene in zip(dataset, "aab"):
        sample["asks"], sample["scene"] = asks(), scene
        sample.save()
    return dataset


@pytest.fixture
def video(images: list[Path]) -> Iterator[fo.Dataset]:
    """A video whose frames are the photographs."""
    made = fo.Dataset()
    about = fo.VideoMetadata(total_frame_count=3, frame_width=451, frame_height=300, frame_rate=5)
    sample = fo.Sample(filepath=str(images[0].with_suffix(".mp4")), metadata=about)
    for number, path in enumerate(images, start=1):
        sample.frames[number] = fo.Frame(filepath=str(path), asks=asks())
    made.add_sample(sample)
    yield made
    made.delete()


def apply(samples: Any, model: OvsamModel, field: str = "o", **fields: str) -> None:
    fields = fields or {"box_prompt_field": "asks"}
    samples.apply_model(model, label_field=field, num_workers=0, progress=False, **fields)


def test_frames_are_labelled_and_the_video_has_their_labels(
    video: fo.Dataset, model: OvsamModel
) -> None:
    frames = video.to_frames()
    apply(frames, model)
    assert frames.count("o.detections") == video.count("frames.o.detections") == 6
    asked = video.values("frames.asks.detections.id", unwind=True)
    assert video.values("frames.o.detections.prompt_id", unwind=True) == asked
    similarity = video.get_field("frames.o.detections.similarity")
    assert isinstance(similarity, fo.FloatField)
    assert similarity.description
    assert video.values("frames.o_error") == [[None] * 3]
    # Again, into what is there now.
    apply(video.to_frames(), model)
    assert video.count("frames.o.detections") == 6


def test_a_person_s_labels_on_frames_are_not_replaced(video: fo.Dataset, model: OvsamModel) -> None:
    drawn = fo.Detection(label="mine", bounding_box=BOXES[0])
    sample = video.first()
    sample.frames[2]["truth"] = fo.Detections(detections=[drawn])
    sample.save()
    with pytest.raises(ValueError, match=r"would be replaced \(1 that no run made\)"):
        apply(video.to_frames(), model, field="truth")
    assert video.values("frames.truth.detections.label", unwind=True) == ["mine"]


def test_frames_are_labelled_as_a_dataset_of_their_own(video: fo.Dataset) -> None:
    frames = video.to_frames()
    with pytest.raises(ValueError, match=r"FramesView holds copies.*samples\.clone\(\)"):
        label_dataset(frames, **SETTINGS)
    own = frames.clone()
    assert label_dataset(own, **SETTINGS).instances == 6
    own.delete()


@pytest.mark.parametrize("kind", ["patches", "evaluation patches"])
def test_patches_are_refused_before_anything_is_computed(
    boxed: fo.Dataset, model: OvsamModel, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "patches":
        patches = boxed.to_patches("asks")
    else:
        boxed.clone_sample_field("asks", "said")
        boxed.set_values("said.detections.confidence", [[0.5, 0.4]] * 3)
        boxed.evaluate_detections("said", "asks", eval_key="e", progress=False)
        patches = boxed.to_evaluation_patches("e")
    monkeypatch.setattr(BatchEncoder, "_encode", None)
    with pytest.raises(ValueError, match="PatchesView holds copies.*give that dataset itself"):
        apply(patches, model)
    with pytest.raises(ValueError, match="PatchesView holds copies"):
        label_dataset(patches, **SETTINGS)
    assert boxed.get_field("o") is None


def test_videos_and_clips_are_refused_by_name_of_their_frames(
    video: fo.Dataset, model: OvsamModel
) -> None:
    for samples in (video, video.to_clips([[(1, 2)]])):
        with pytest.raises(ValueError, match=r"label their frames with dataset\.to_frames"):
            label_dataset(samples, **SETTINGS)


@pytest.mark.parametrize("ordered", [False, True])
def test_a_view_grouped_by_a_field_says_how_to_see_all_of_it(
    boxed: fo.Dataset, ordered: bool
) -> None:
    grouped = boxed.group_by("scene", order_by="filepath" if ordered else None)
    with pytest.raises(ValueError, match=r"one sample per group: give the view before"):
        label_dataset(grouped, **SETTINGS)
    flat = boxed.select(grouped.flatten().values("id"))
    assert label_dataset(flat, **SETTINGS).labelled == 3
    with pytest.raises(ValueError, match=r"one sample per group"):
        relabel_dataset(grouped, vocabulary="coco", device="cpu")
    with pytest.raises(ValueError, match=r"one sample per group"):
        search(grouped, "a cat")
    assert relabel_dataset(flat, vocabulary="coco", device="cpu").instances == 6
    assert len(search(flat, "a cat", k=4)) == 4
    assert score_run(flat).instances == 6


def test_the_operator_labels_all_samples_of_a_view_grouped_by_a_field(boxed: fo.Dataset) -> None:
    params = {
        "vocabulary": "names",
        "names": NAMES,
        "prompts": "box",
        "prompt_field": "asks",
        "view_target": "CURRENT_VIEW",
    }
    ctx = {"view": boxed.group_by("scene"), "params": params}
    done = foo.execute_operator("@ovsam/curation/label", ctx)
    assert done.result["labelled"] == 3
    assert boxed.count("ovsam.detections") == 6


@pytest.fixture
def grouped(images: list[Path]) -> Iterator[fo.Dataset]:
    """Three groups of a left and a right photograph."""
    made = fo.Dataset()
    made.add_group_field("group", default="left")
    for path in images:
        group = fo.Group()
        made.add_samples(
            [
                fo.Sample(filepath=str(path), group=group.element(side), asks=asks())
                for side in ("left", "right")
            ],
            progress=False,
        )
    yield made
    made.delete()


def test_what_a_person_edits_on_any_slice_is_not_replaced_unasked(grouped: fo.Dataset) -> None:
    label_dataset(grouped.select_group_slices(["left", "right"]), **SETTINGS)
    for side in ("left", "right"):
        shown = grouped.select_group_slices([side])
        sample = shown.first()
        sample["ovsam"].detections[0].bounding_box = [0, 0, 0.5, 0.5]
        sample.save()
        with pytest.raises(ValueError, match="1 that were changed by hand"):
            label_dataset(shown, **SETTINGS, overwrite=True)
    assert made_by_hand(grouped, "ovsam").edited == 2


def test_all_slices_of_a_grouped_dataset_are_labelled_named_scored_and_found(
    grouped: fo.Dataset, model: OvsamModel
) -> None:
    with pytest.raises(ValueError, match=r"samples\.select_group_slices\(\['left', 'right'\]\)"):
        label_dataset(grouped, **SETTINGS)
    both = grouped.select_group_slices(["left", "right"])
    assert label_dataset(both, **SETTINGS).labelled == 6
    assert both.count("ovsam.detections") == 12
    assert len(embedding_index.load(grouped, "ovsam")) == 12
    assert relabel_dataset(grouped, vocabulary="coco", device="cpu").instances == 12
    assert both.count("ovsam_coco.detections") == 12
    assert score_run(grouped).instances == 12
    assert both.count("ovsam.detections.doubt") == 12
    found = search(both, "a cat", k=12)
    assert len(found) == 12
    apply(both, model, field="by_model")
    assert both.count("by_model.detections") == 12
    assert "ovsam: not reviewed" in setup_workspace(grouped).views
    assert len(grouped.load_saved_view("ovsam: not reviewed")) == 6


def test_what_reads_a_grouped_dataset_tells_of_its_slices_and_leaves_none_out(
    grouped: fo.Dataset, tmp_path: Path
) -> None:
    both = grouped.select_group_slices(["left", "right"])
    for sample in both.iter_samples(autosave=True):
        masks = [fo.Detection(label="cat", bounding_box=b, mask=MASK) for b in BOXES]
        sample["truth"] = fo.Detections(detections=masks)
    both.compute_metadata(progress=False)
    both.clone_sample_field("truth", "said")
    calls: tuple[Callable[[Any], Any], ...] = (
        lambda samples: list(field_rows(samples, "truth")),
        lambda samples: save_sheet(samples, "truth", tmp_path / "sheet.png"),
        lambda samples: center_points(samples, "truth"),
        lambda samples: evaluate_dataset(
            samples, "said", "truth", protocol="detector", resize_masks=True, progress=False
        ),
    )
    for call in calls:
        with pytest.raises(ValueError, match=r"select_group_slices\(\['left', 'right'\]\)"):
            call(grouped)
    rows, _, points, found = (call(both) for call in calls)
    assert len(rows) == 12
    assert both.count(f"{points}.keypoints") == 12
    assert len(found.evaluated.paths) == 6


@pytest.mark.parametrize("which", ["ovsam", "ovsam_error", "ovsam.detections.label"])
def test_a_read_only_field_is_found_before_anything_is_computed(
    boxed: fo.Dataset, model: OvsamModel, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    label_dataset(boxed.limit(1), **SETTINGS)
    field = boxed.get_field(which)
    field.read_only = True
    field.save()
    monkeypatch.setattr(OvsamModel, "encode", None)
    with pytest.raises(ValueError, match=f"field '{which}' is read-only"):
        label_dataset(boxed, **SETTINGS)
    monkeypatch.undo()
    with pytest.raises(ValueError, match=f"field '{which}' is read-only"):
        apply(boxed, model, field="ovsam")
    assert boxed.count("ovsam.detections") == 2


def test_masks_on_disk_ask_as_those_in_the_database_do(
    boxed: fo.Dataset, model: OvsamModel, tmp_path: Path
) -> None:
    apply(boxed, model, field="drawn")
    apply(boxed, model, field="before", mask_prompt_field="drawn")
    foul.export_segmentations(
        boxed, "drawn", output_dir=str(tmp_path / "masks"), overwrite=True, progress=False
    )
    assert boxed.count("drawn.detections.mask") == 0
    apply(boxed, model, field="after", mask_prompt_field="drawn")
    for before, after in zip(
        boxed.values("before.detections", unwind=True),
        boxed.values("after.detections", unwind=True),
    ):
        assert np.array_equal(before.mask, after.mask)
        assert (before.label, before.bounding_box) == (after.label, after.bounding_box)


def test_a_dataset_that_another_was_merged_into_has_all_embeddings_after_the_same_call(
    boxed: fo.Dataset, images: list[Path]
) -> None:
    other = fo.Dataset()
    other.add_samples(
        [fo.Sample(filepath=str(images[0].parent / f"copy-{p.name}"), asks=asks()) for p in images],
        progress=False,
    )
    for path in images:
        (path.parent / f"copy-{path.name}").write_bytes(path.read_bytes())
    label_dataset(boxed, **SETTINGS)
    label_dataset(other, **SETTINGS)
    boxed.add_collection(other)
    names = boxed.values("ovsam.detections.label")
    assert label_dataset(boxed, **SETTINGS).kept == 6
    assert boxed.values("ovsam.detections.label") == names
    kept = embedding_index.load(boxed, "ovsam")
    assert set(kept.label_ids) == set(boxed.values("ovsam.detections.id", unwind=True))
    assert relabel_dataset(boxed, vocabulary="coco", device="cpu").instances == 12
    assert score_run(boxed).instances == 12
    other.delete()


@pytest.mark.parametrize("kind", ["boxes", "points", "polygons"])
def test_prompt_field_asks_by_what_its_field_holds(
    boxed: fo.Dataset, model: OvsamModel, kind: str
) -> None:
    labels, key = {
        "boxes": (asks(), "box_prompt_field"),
        "points": (
            fo.Keypoints(keypoints=[fo.Keypoint(points=[(0.5, 0.5)])]),
            "point_prompt_field",
        ),
        "polygons": (
            fo.Polylines(
                polylines=[fo.Polyline(points=[[(0.2, 0.2), (0.7, 0.2), (0.5, 0.7)]], filled=True)]
            ),
            "mask_prompt_field",
        ),
    }[kind]
    boxed.set_values("prompts", [labels] * 3)
    apply(boxed, model, field="generic", prompt_field="prompts")
    apply(boxed, model, field="named", **{key: "prompts"})
    rows = ("label", "bounding_box", "prompt_type", "prompt_id")
    for row in rows:
        assert boxed.values(f"generic.detections.{row}") == boxed.values(f"named.detections.{row}")
    assert boxed.count("generic.detections") > 0


def test_prompt_field_may_stand_beside_another_kind_but_not_the_same(
    boxed: fo.Dataset, model: OvsamModel
) -> None:
    points = fo.Keypoints(keypoints=[fo.Keypoint(points=[(0.5, 0.5)])])
    boxed.set_values("clicks", [points] * 3)
    apply(boxed, model, field="both", prompt_field="asks", point_prompt_field="clicks")
    assert boxed.values("both.detections.prompt_type") == [["box", "box", "point"]] * 3
    apply(boxed, model, field="twice", prompt_field="asks", box_prompt_field="asks")
    assert all("give one of the two" in error for error in boxed.values("twice_error"))
