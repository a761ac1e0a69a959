"""Which reviewed instances become ground truth, and what is told of the others."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from ovsam_plugin.curation import clean_export
from ovsam_plugin.curation.clean_counts import count_clean
from ovsam_plugin.curation.clean_export import Format
from ovsam_plugin.curation.decisions import accept, reject, rename
from ovsam_plugin.dataset.fields import relative_box
from ovsam_plugin.vocabulary.tables import built_in
from ovsam_plugin.vocabulary.vocabulary import Category

from .conftest import FIELD, export_clean


def classes(path: Path) -> list[str]:
    content = json.loads(path.read_text())
    names = {c["id"]: c["name"] for c in content["categories"]}
    return sorted(names[a["category_id"]] for a in content["annotations"])


def test_confident_undecided_instances_are_taken_on_request(
    reviewed: fo.Dataset, tmp_path: Path
) -> None:
    path = tmp_path / "clean.json"
    export = export_clean(reviewed, FIELD, path, undecided_above=0.6)
    assert classes(path) == ["Arctic fox", "cat", "cup", "person"]
    # The first cup, and what has no name.
    assert (export.images, export.open) == (3, 2)


def test_half_reviewed_images_are_left_out_unless_asked_for_and_told(
    reviewed: fo.Dataset, ids: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "clean.json"
    export = clean_export.export_clean(reviewed, FIELD, path)
    assert (export.images, export.half_reviewed) == (1, 1)
    assert classes(path) == ["cup"]
    accept(reviewed, FIELD, ids["cup"])
    export_clean(reviewed, FIELD, path, only_finished=True, overwrite=True)
    assert classes(path) == ["Arctic fox", "cat", "cup", "cup"]


@pytest.mark.parametrize("review", [None, "accepted"])
@pytest.mark.parametrize("name", [None, ""])
def test_an_instance_without_a_name_is_open_until_it_has_one_or_is_rejected(
    reviewed: fo.Dataset, ids: dict[str, str], tmp_path: Path, review: str | None, name: str | None
) -> None:
    accept(reviewed, FIELD, ids["person"])
    reviewed.set_label_values(f"{FIELD}.detections.review", {ids["nothing"]: review})
    reviewed.set_label_values(f"{FIELD}.detections.label", {ids["nothing"]: name})
    last = reviewed[2:]
    with pytest.raises(ValueError, match="also have undecided or nameless ones"):
        clean_export.export_clean(last, FIELD, tmp_path / "a.json")
    assert count_clean(last, FIELD, undecided_above=0.0).half_reviewed == 1
    export = export_clean(last, FIELD, tmp_path / "a.json", "lvis", undecided_above=0.0)
    assert (export.instances, export.open) == (1, 1)
    assert count_clean(last, FIELD, only_finished=False).open == 1
    reject(reviewed, FIELD, ids["nothing"])
    export = clean_export.export_clean(last, FIELD, tmp_path / "b.json")
    assert (export.instances, export.open, export.half_reviewed) == (1, 0, 0)


@pytest.mark.parametrize("only_finished", [False, True])
@pytest.mark.parametrize("above", [None, 0.4])
def test_what_is_counted_before_is_what_is_written(
    reviewed: fo.Dataset, tmp_path: Path, only_finished: bool, above: float | None
) -> None:
    asked: dict[str, Any] = {"only_finished": only_finished, "undecided_above": above}
    for number, view in enumerate(
        (
            reviewed,
            reviewed.limit(2),
            reviewed.filter_labels(FIELD, fo.ViewField("label").is_in(["cup", "cat"])),
        )
    ):
        counts = count_clean(view, FIELD, **asked)
        export = export_clean(view, FIELD, tmp_path / f"{number}.json", **asked)
        written = export.images, export.instances, export.open, export.half_reviewed
        assert (counts.images, counts.instances, counts.open, counts.half_reviewed) == written


@pytest.mark.parametrize("format", clean_export.FORMATS)
def test_a_mask_that_lies_outside_its_image_is_left_out_everywhere(
    reviewed: fo.Dataset, ids: dict[str, str], tmp_path: Path, format: Format
) -> None:
    sample = reviewed.first()
    sample[FIELD].detections[0].bounding_box = [1.2, 0.1, 0.2, 0.2]
    sample.save()
    export = export_clean(reviewed, FIELD, tmp_path / "out", format)
    assert export.instances == 2
    (told,) = export.left_out
    assert ids["cat"] in told
    assert "outside the image" in told


def test_an_image_whose_every_instance_was_rejected_is_a_negative(
    labelled: fo.Dataset, ids: dict[str, str], tmp_path: Path
) -> None:
    reject(labelled, FIELD, [ids["person"], ids["nothing"]])
    path = tmp_path / "clean.json"
    export = export_clean(labelled, FIELD, path)
    assert (export.images, export.instances) == (1, 0)
    content = json.loads(path.read_text())
    assert [i["file_name"] for i in content["images"]] == ["astronaut.png"]


def test_ids_are_the_vocabularys_and_new_names_follow_them(
    reviewed: fo.Dataset, ids: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "clean.json"
    rename(reviewed, FIELD, ids["cup"], "Dining-Table")
    export_clean(reviewed, FIELD, path, vocabulary="coco")
    content = json.loads(path.read_text())
    by_name = {c["name"]: c["id"] for c in content["categories"]}
    own = {c.name: c.id for c in built_in("coco").categories}
    assert by_name == {**own, "Arctic fox": 91}
    assert classes(path) == ["Arctic fox", "cat", "cup", "dining table"]


def test_a_class_without_an_id_leaves_the_others_theirs(
    reviewed: fo.Dataset, tmp_path: Path
) -> None:
    def ids_with(*more: Category) -> dict[str, int]:
        vocabulary = built_in("coco")
        for category in more:
            vocabulary = vocabulary.with_class(category)
        path = tmp_path / "clean.json"
        export_clean(reviewed, FIELD, path, vocabulary=vocabulary, overwrite=True)
        return {c["name"]: c["id"] for c in json.loads(path.read_text())["categories"]}

    own = {c.name: c.id for c in built_in("coco").categories}
    # It has the same id whether it occurs or not, and so has what follows.
    assert ids_with(Category("valve"), Category("arctic fox")) == {
        **own, "valve": 91, "arctic fox": 92,
    }  # fmt: skip
    assert ids_with(Category("valve", id=1)) == {**own, "valve": 91, "Arctic fox": 92}


def test_labels_without_a_mask_are_left_out_and_named(
    reviewed: fo.Dataset, ids: dict[str, str], tmp_path: Path
) -> None:
    label = fo.Detection(label="cat", bounding_box=[0.1, 0.1, 0.2, 0.2], review="accepted")
    sample = reviewed.last()
    sample[FIELD].detections.append(label)
    sample.save()
    export = export_clean(reviewed, FIELD, tmp_path / "clean.json")
    assert export.instances == 3
    (reason,) = export.left_out
    assert label.id in reason
    assert reason.endswith("it has no mask")


def test_a_view_restricts_what_is_exported(reviewed: fo.Dataset, tmp_path: Path) -> None:
    assert export_clean(reviewed.skip(1), FIELD, tmp_path / "clean.json").categories == ("cup",)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"format": "yolo"}, "'coco', 'lvis', 'fiftyone'"),
        ({"undecided_above": 1.5}, "must be 0 to 1"),
        ({"vocabulary": "nowhere.txt"}, "nowhere.txt"),
        ({"path": "taken.json"}, "already exists"),
        ({"path": "."}, "is a folder"),
        ({"path": ".", "format": "fiftyone", "overwrite": True}, "holds something other"),
        ({"path": "taken.json", "format": "fiftyone"}, "is a file"),
    ],
)
def test_what_cannot_be_exported_is_refused_and_nothing_is_written(
    reviewed: fo.Dataset, tmp_path: Path, kwargs: dict[str, Any], message: str
) -> None:
    (tmp_path / "taken.json").write_text("mine")
    path = tmp_path / kwargs.pop("path", "clean.json")
    with pytest.raises(ValueError, match=message):
        export_clean(reviewed, FIELD, path, **kwargs)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["images", "taken.json"]
    assert (tmp_path / "taken.json").read_text() == "mine"


def test_nothing_decided_is_nothing_to_export(labelled: fo.Dataset, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="review some first"):
        export_clean(labelled, FIELD, tmp_path / "clean.json")
    assert not (tmp_path / "clean.json").exists()


def test_what_is_accepted_and_not_in_the_file_makes_its_class_not_exhaustive(
    reviewed: fo.Dataset, ids: dict[str, str], tmp_path: Path
) -> None:
    sample = reviewed.first()
    drawn = fo.Detection(label="cat", bounding_box=[0, 0, 0.2, 0.2])
    sample[FIELD].detections.append(drawn)
    sample.save()
    accept(reviewed, FIELD, [drawn.id, ids["cup"]])
    path = tmp_path / "clean.json"
    export = export_clean(reviewed, FIELD, path, "lvis")
    assert (export.open, len(export.left_out)) == (0, 1)
    content = json.loads(path.read_text())
    unsure = {i["coco_url"]: i["not_exhaustive_category_ids"] for i in content["images"]}
    cat = next(c["id"] for c in content["categories"] if c["name"] == "cat")
    assert unsure == {"chelsea.png": [cat], "coffee.png": []}


def test_an_image_of_which_nothing_can_be_written_is_no_negative(
    reviewed: fo.Dataset, ids: dict[str, str], tmp_path: Path
) -> None:
    reviewed.set_label_values(f"{FIELD}.detections.mask", {ids["cup2"]: None})
    export = export_clean(reviewed, FIELD, tmp_path / "clean.json")
    assert (export.images, len(export.left_out)) == (1, 1)
    rest = reviewed.match({"_id": {"$ne": reviewed.first()._id}})
    with pytest.raises(ValueError, match="nothing of 'ovsam' can be written: .*it has no mask"):
        export_clean(rest, FIELD, tmp_path / "rest.json")


def test_a_mask_whose_box_was_resized_is_stretched_over_it_as_in_the_app(
    reviewed: fo.Dataset, ids: dict[str, str], tmp_path: Path
) -> None:
    box = [150 / 451, 60 / 300, 200 / 451, 100 / 300]
    reviewed.set_label_values(f"{FIELD}.detections.bounding_box", {ids["dog"]: box})
    path = tmp_path / "clean.json"
    assert export_clean(reviewed, FIELD, path).left_out == ()
    coco = COCO(str(path))
    (fox,) = coco.loadAnns(coco.getAnnIds(catIds=coco.getCatIds(["Arctic fox"])))
    assert fox["bbox"] == [150, 60, 200, 100]
    mask = reviewed.first()[FIELD].detections[1].mask
    assert fox["area"] == 4 * mask.sum()


def test_what_a_view_hides_is_open_all_the_same(reviewed: fo.Dataset, tmp_path: Path) -> None:
    accepted = reviewed.filter_labels(FIELD, fo.ViewField("review") == "accepted")
    path = tmp_path / "clean.json"
    export = export_clean(accepted, FIELD, path, "lvis")
    assert (export.instances, export.open) == (2, 1)
    assert classes(path) == ["cat", "cup"]
    with pytest.raises(ValueError, match="all 1 images of 'ovsam' with decided .* only_finished"):
        export_clean(accepted.limit(1), FIELD, tmp_path / "b.json", only_finished=True)


def test_a_synonym_is_its_class_and_a_field_without_a_run_is_told(
    reviewed: fo.Dataset,
    ids: dict[str, str],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    rename(reviewed, FIELD, [ids["dog"]], "people")
    path = tmp_path / "clean.json"
    export_clean(reviewed, FIELD, path, vocabulary="coco")
    content = json.loads(path.read_text())
    assert classes(path) == ["cat", "cup", "person"]
    assert "people" not in {c["name"] for c in content["categories"]}
    with caplog.at_level(logging.WARNING):
        export_clean(reviewed, FIELD, tmp_path / "plain.json")
    assert "no run is recorded for field 'ovsam'" in caplog.text


def test_a_turned_photograph_is_written_as_it_is_shown(
    reviewed: fo.Dataset, turned: Path, tmp_path: Path
) -> None:
    mask = np.tri(40, 30, dtype=bool)
    box = relative_box((200, 300, 230, 340), (451, 300))
    label = fo.Detection(label="cat", bounding_box=box, mask=mask, review="accepted")
    sample = fo.Sample(filepath=str(turned), ovsam=fo.Detections(detections=[label]))
    sample.metadata = fo.ImageMetadata(width=451, height=300)  # as FiftyOne has it for most kinds
    reviewed.add_sample(sample)
    only = reviewed.select(sample.id)
    export_clean(only, FIELD, tmp_path / "clean.json")
    coco = COCO(str(tmp_path / "clean.json"))
    (image,), (cat,) = coco.dataset["images"], coco.dataset["annotations"]
    assert (image["width"], image["height"]) == (300, 451)
    assert cat["bbox"] == [200, 300, 30, 40]
    np.testing.assert_array_equal(coco.annToMask(cat)[300:340, 200:230], mask)
    export_clean(only, FIELD, tmp_path / "folder", "fiftyone")
    read = fo.Dataset.from_dir(
        dataset_dir=str(tmp_path / "folder"), dataset_type=fo.types.FiftyOneDataset, progress=False
    )
    metadata = read.first().metadata
    assert (metadata.width, metadata.height) == (300, 451)
    read.delete()


def test_a_mask_whose_box_was_dragged_over_the_edge_is_cut_there_and_told(
    reviewed: fo.Dataset, ids: dict[str, str], tmp_path: Path
) -> None:
    before = reviewed.first()[FIELD].detections[0]
    box = [-30 / 451, 250 / 300, 100 / 451, 100 / 300]
    reviewed.set_label_values(f"{FIELD}.detections.bounding_box", {ids["cat"]: box})
    path = tmp_path / "clean.json"
    export = export_clean(reviewed, FIELD, path)
    (told,) = export.cut
    assert ids["cat"] in told
    assert export.left_out == ()
    coco = COCO(str(path))
    (cat,) = coco.loadAnns(coco.getAnnIds(catIds=coco.getCatIds(["cat"])))
    expected = np.zeros((300, 451), dtype=bool)
    expected[250:, :70] = before.mask[:50, 30:]
    np.testing.assert_array_equal(coco.annToMask(cat), expected)
    assert cat["area"] == expected.sum()


@pytest.mark.parametrize(
    ("images", "group"), [(1, "r"), (10, "r"), (11, "c"), (100, "c"), (101, "f")]
)
def test_lvis_groups_classes_by_the_number_of_their_images(
    tmp_path: Path, images: int, group: str
) -> None:
    mask = np.ones((2, 2), dtype=bool)

    def label(name: str) -> fo.Detection:
        box = [0.0, 0.0, 0.2, 0.2]
        return fo.Detection(label=name, bounding_box=box, mask=mask, review="accepted")

    made = fo.Dataset()
    made.add_samples(
        [
            fo.Sample(
                filepath=f"/nowhere/{i}.jpg",
                metadata=fo.ImageMetadata(width=10, height=10),
                found=fo.Detections(detections=[label("newt"), label("newt")]),
            )
            for i in range(images)
        ],
        dynamic=True,
        progress=False,
    )
    export_clean(made, "found", tmp_path / "clean.json", "lvis")
    (newt,) = json.loads((tmp_path / "clean.json").read_text())["categories"]
    assert (newt["frequency"], newt["image_count"]) == (group, images)
    assert newt["instance_count"] == 2 * images
    made.delete()


@pytest.mark.parametrize("format", ["coco", "fiftyone"])
@pytest.mark.parametrize("damage", [None, b"", b"no picture"])
def test_a_mask_whose_file_cannot_be_read_costs_its_own_instance(
    reviewed: fo.Dataset, tmp_path: Path, format: Format, damage: bytes | None
) -> None:
    sample = reviewed.first()
    cat = sample[FIELD].detections[0]
    mask = tmp_path / "mask.png"
    cat.export_mask(str(mask), update=True)
    sample.save()
    assert export_clean(reviewed, FIELD, tmp_path / "whole", format).left_out == ()
    mask.unlink()
    if damage is not None:
        mask.write_bytes(damage)
    export = export_clean(reviewed, FIELD, tmp_path / "less", format)
    assert export.instances == 2
    (reason,) = export.left_out
    assert cat.id in reason
    assert "the mask's file cannot be read" in reason


@pytest.mark.parametrize("format", ["coco", "fiftyone"])
def test_a_photograph_that_another_has_replaced_is_left_out_and_told(
    named: fo.Dataset, tmp_path: Path, format: Format
) -> None:
    """Its masks would be stretched over something that nobody looked at."""
    sample = named.first()
    path = tmp_path / "replaced.png"
    Image.new("RGB", (300, 900)).save(path)
    sample.filepath = str(path)
    sample.save()
    accept(named, FIELD, named.values(f"{FIELD}.detections.id", unwind=True), by="ada")
    export = export_clean(named, FIELD, tmp_path / "clean", format)
    assert (export.images, export.instances) == (2, 6)
    (why,) = export.left_out
    assert why.startswith(f"{path}: the photograph, now 300 x 900, is not the one")
