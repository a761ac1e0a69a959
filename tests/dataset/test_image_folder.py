"""The folder that a dataset's photographs are named from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image

from ovsam_plugin import export_clean, import_labels
from ovsam_plugin.annotations.photographs import find_in
from ovsam_plugin.dataset.export import field_rows, write_rows
from ovsam_plugin.dataset.image_folder import image_folder
from ovsam_plugin.dataset.importing import import_images

TOP, BELOW = "IMG_1.jpg", "day2/IMG_1.jpg"


@pytest.fixture
def camera(tmp_path: Path) -> Iterator[fo.Dataset]:
    """A folder whose subfolder has a photograph of the same name and size; each has its label."""
    for name in (TOP, BELOW):
        path = tmp_path / "im" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30)).save(path)
    dataset = import_images(tmp_path / "im")
    for sample in dataset:
        label = fo.Detection(
            label=sample.filepath.removeprefix(f"{tmp_path}/im/"),
            bounding_box=[0.1, 0.1, 0.5, 0.5],
            mask=np.ones((15, 20), bool),
            review="accepted",
        )
        sample["drawn"] = fo.Detections(detections=[label])
        sample.save()
    yield dataset
    dataset.delete()


def below(dataset: fo.Dataset) -> fo.DatasetView:
    return dataset.match(fo.ViewField("filepath").ends_with(BELOW))


def labels(dataset: fo.Dataset, field: str, root: Path) -> dict[str, list[str]]:
    paths, names = dataset.values(["filepath", f"{field}.detections.label"])
    return {str(Path(p).relative_to(root)): n for p, n in zip(paths, names, strict=True) if n}


def test_it_is_the_folder_that_was_imported_or_the_one_that_holds_all(
    camera: fo.Dataset, tmp_path: Path
) -> None:
    root = tmp_path / "im"
    assert image_folder(below(camera)) == image_folder(camera) == root
    camera.delete_samples(camera.match(~fo.ViewField("filepath").ends_with(BELOW)))
    assert image_folder(camera) == root
    camera.info["images"] = str(tmp_path / "moved")
    camera.save()
    assert image_folder(camera) == root / "day2"
    camera.add_sample(fo.Sample(filepath=str(tmp_path / "elsewhere" / "a.jpg")))
    assert image_folder(below(camera)) == tmp_path
    other = fo.Dataset()
    assert image_folder(other) == Path("/")
    other.delete()


@pytest.mark.parametrize("imported", [True, False])
@pytest.mark.parametrize("kind", ["clean", "results"])
def test_what_is_exported_of_one_photograph_is_never_read_as_anothers(
    camera: fo.Dataset, tmp_path: Path, kind: str, imported: bool
) -> None:
    if not imported:
        camera.info.clear()
        camera.save()
    root = tmp_path / "im"
    for view, expected in ((below(camera), [BELOW]), (camera, [BELOW, TOP])):
        path = tmp_path / f"{len(expected)}.json"
        if kind == "clean":
            export_clean(view, "drawn", path)
            names = {image["file_name"] for image in json.loads(path.read_text())["images"]}
        else:
            write_rows(field_rows(view, "drawn"), path)
            names = {row["file_name"] for row in json.loads(path.read_text())}
        assert sorted(names, reverse=True) == expected
        # In the same folder, for ovsam label and ovsam evaluate, and in the same dataset.
        assert find_in(root, names) == {name: (str(root / name),) for name in names}
        field = f"back_{len(expected)}"
        assert import_labels(camera, path, label_field=field).problems == ()
        assert labels(camera, field, root) == {name: [name] for name in names}


def test_a_photograph_outside_the_view_gives_its_labels_to_no_other(
    camera: fo.Dataset, tmp_path: Path
) -> None:
    export_clean(camera, "drawn", tmp_path / "clean.json")
    top = camera.match(~fo.ViewField("filepath").ends_with(BELOW))
    found = import_labels(top, tmp_path / "clean.json", label_field="back")
    (problem,) = found.problems
    assert problem.endswith(f" of clean.json: {BELOW} is not in the view")
    assert labels(camera, "back", tmp_path / "im") == {TOP: [TOP]}
