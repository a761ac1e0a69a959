"""The files of reviewed instances, read back by the libraries that will read them."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools.coco import COCO

from ovsam_plugin.annotations.reader import read_annotation_file
from ovsam_plugin.curation.decisions import accept
from ovsam_plugin.dataset.fields import relative_box
from ovsam_plugin.dataset.imported_labels import import_labels
from ovsam_plugin.dataset.label_masks import crop_of

from .conftest import FIELD, export_clean


def test_pycocotools_reads_the_masks_bit_for_bit(reviewed: fo.Dataset, tmp_path: Path) -> None:
    path = tmp_path / "clean.json"
    export = export_clean(reviewed, FIELD, path)
    assert (export.images, export.instances, export.open) == (2, 3, 1)
    assert export.categories == ("Arctic fox", "cat", "cup")
    assert export.left_out == ()

    coco = COCO(str(path))
    assert [c["id"] for c in coco.loadCats(coco.getCatIds())] == [1, 2, 3]
    (image,) = [i for i in coco.imgs.values() if i["file_name"] == "chelsea.png"]
    (fox,) = coco.loadAnns(coco.getAnnIds(image["id"], coco.getCatIds(["Arctic fox"])))
    label = reviewed.first()[FIELD].detections[1]
    mask = coco.annToMask(fox)
    assert mask.shape == (image["height"], image["width"]) == (300, 451)
    assert np.array_equal(mask[60:110, 150:250], label.mask)
    assert (mask.sum(), fox["area"]) == (label.mask.sum(), label.mask.sum())
    assert fox["bbox"] == [150, 60, 100, 50]


SIZE = (300, 451)
NAMES = st.sampled_from(["cat", "Arctic fox", "кошка", 'a "b" \\c', "hot_dog"])


@st.composite
def instances(draw: st.DrawFn) -> tuple[fo.Detection, np.ndarray]:
    """A label with a name, and its mask on the whole photograph."""
    mask = draw(hnp.arrays(bool, st.tuples(st.integers(1, 30), st.integers(1, 30))))
    mask[0, 0] = mask[-1, -1] = True
    (h, w), (height, width) = mask.shape, SIZE
    x, y = draw(st.integers(0, width - w)), draw(st.integers(0, height - h))
    full = np.zeros(SIZE, bool)
    full[y : y + h, x : x + w] = mask
    box = relative_box([x, y, x + w, y + h], SIZE)
    return fo.Detection(label=draw(NAMES), bounding_box=box, mask=mask, confidence=0.5), full


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(instances(), min_size=1, max_size=4), st.sampled_from(["coco", "lvis"]))
def test_what_goes_out_comes_back_to_the_pixel(
    labelled: fo.Dataset, tmp_path: Path, drawn: list[tuple[fo.Detection, np.ndarray]], format: Any
) -> None:
    labels = [label.copy() for label, _ in drawn]
    view = labelled[:1]
    view.set_values(FIELD, [fo.Detections(detections=labels)])
    accept(labelled, FIELD, [label.id for label in labels], by="ada")
    path = tmp_path / "clean.json"
    export_clean(view, FIELD, path, format, overwrite=True)
    found = read_annotation_file(path)
    rows = [annotation.record for annotation in found.annotations]
    back = [(found.categories[a.category].name, a.mask(SIZE)) for a in found.annotations]
    assert [name for name, _ in back] == [label.label for label, _ in drawn]
    for (_, mask), (label, full), annotation in zip(back, drawn, found.annotations):
        assert np.array_equal(mask, full)
        x, y, w, h = np.array(label.bounding_box) * np.tile(SIZE[::-1], 2)
        assert np.allclose(annotation.box(SIZE), (x, y, x + w, y + h), atol=1e-6)
    # And into a dataset again.
    results = tmp_path / "results.json"
    results.write_text(json.dumps(rows))
    if labelled.has_sample_field("back"):
        labelled.delete_sample_field("back")
    assert import_labels(labelled, results, label_field="back", annotations=path).problems == ()
    for again, (label, full) in zip(labelled.first()["back"].detections, drawn):
        crop = crop_of(again, SIZE)
        assert crop is not None
        assert (again.label, again.bounding_box) == (label.label, label.bounding_box)
        assert np.array_equal(crop.on(SIZE), full)


def test_lvis_api_reads_it_and_is_told_what_is_not_exhaustive(
    reviewed: fo.Dataset, tmp_path: Path
) -> None:
    from lvis import LVIS

    path = tmp_path / "clean.json"
    export_clean(reviewed, FIELD, path, "lvis")
    lvis = LVIS(str(path))
    assert len(lvis.get_ann_ids()) == 3
    cup = next(c for c in lvis.cats.values() if c["name"] == "cup")
    assert (cup["frequency"], cup["image_count"], cup["instance_count"]) == ("r", 1, 1)
    unsure = {i["coco_url"]: i["not_exhaustive_category_ids"] for i in lvis.imgs.values()}
    assert unsure == {"chelsea.png": [cup["id"]], "coffee.png": []}
    assert lvis.ann_to_mask(lvis.load_anns(lvis.get_ann_ids())[0]).any()


def test_a_fiftyone_dataset_comes_back_with_who_decided_what(
    reviewed: fo.Dataset, tmp_path: Path
) -> None:
    folder = tmp_path / "clean"
    before = fo.list_datasets()
    export_clean(reviewed, FIELD, folder, "fiftyone")
    assert fo.list_datasets() == before
    back = fo.Dataset.from_dir(str(folder), dataset_type=fo.types.FiftyOneDataset, progress=False)
    try:
        labels = back.first()["ground_truth"].detections
        assert [(x.label, x["review"], x["reviewed_by"]) for x in labels] == [
            ("cat", "accepted", "ada"),
            ("Arctic fox", "renamed", "ada"),
        ]
        assert labels[1]["predicted_label"] == "dog"
        assert labels[0]["reviewed_at"] == reviewed.first()[FIELD].detections[0]["reviewed_at"]
        assert np.array_equal(labels[0].mask, reviewed.first()[FIELD].detections[0].mask)
        assert back.first().filepath == reviewed.first().filepath
    finally:
        back.delete()


def test_a_folder_that_cannot_be_written_keeps_the_dataset_that_is_there(
    reviewed: fo.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "clean"
    export_clean(reviewed, FIELD, folder, "fiftyone")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("fiftyone.core.odm.export_collection", full)
    with pytest.raises(OSError, match="No space"):
        export_clean(reviewed, FIELD, folder, "fiftyone", overwrite=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_photographs_in_the_folder_of_the_dataset_stay(
    reviewed: fo.Dataset, tmp_path: Path
) -> None:
    """A dataset on disk, photographs and all, that is labelled and written over itself."""
    folder = tmp_path / "dataset"
    kind = fo.types.FiftyOneDataset
    reviewed.export(export_dir=str(folder), dataset_type=kind, progress=False)
    loaded = fo.Dataset.from_dir(str(folder), dataset_type=kind, progress=False)
    export_clean(loaded, FIELD, folder, "fiftyone", overwrite=True)
    back = fo.Dataset.from_dir(str(folder), dataset_type=kind, progress=False)
    assert len(back) == 2
    assert all(Path(path).is_file() for path in back.values("filepath"))
    for made in (loaded, back):
        made.delete()
