"""Pictures of instances, looked at pixel by pixel."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image

from ovsam_plugin.curation.review_picture import (
    CROP,
    SIZE,
    data_address,
    group_picture,
    instance_picture,
)

GREY = 200


def photograph(folder: Path, size: tuple[int, int] = (400, 300)) -> str:
    path = folder / "grey.png"
    Image.new("RGB", size, (GREY, GREY, GREY)).save(path)
    return str(path)


def test_the_mask_is_bright_its_surroundings_dark_and_its_edge_orange(tmp_path: Path) -> None:
    mask = np.ones((60, 80), dtype=bool)
    label = fo.Detection(bounding_box=[0.4, 0.4, 0.2, 0.2], mask=mask)
    picture = instance_picture(photograph(tmp_path), label)
    assert picture.size == SIZE
    pixels = np.asarray(picture).astype(int)
    assert pixels[SIZE[1] // 2, SIZE[0] // 2].tolist() == [GREY] * 3
    assert pixels[5, 5].tolist() == [124] * 3
    orange = (pixels == (255, 109, 4)).all(axis=2)
    rows, columns = np.flatnonzero(orange.any(axis=1)), np.flatnonzero(orange.any(axis=0))
    # 80 x 60 pixels with 0.35 of that on each side fill the picture.
    assert abs((columns[-1] - columns[0]) - SIZE[0] / 1.7) < 8
    assert abs((rows[-1] - rows[0]) - SIZE[1] / 1.7) < 8


def test_an_instance_at_the_border_is_shown_whole(tmp_path: Path) -> None:
    label = fo.Detection(bounding_box=[0.9, 0, 0.1, 1], mask=np.ones((300, 40), dtype=bool))
    pixels = np.asarray(instance_picture(photograph(tmp_path), label))
    assert (pixels == GREY).all(axis=2).sum() > 40 * 300


def test_a_label_without_a_mask_shows_its_box(tmp_path: Path) -> None:
    label = fo.Detection(bounding_box=[0.4, 0.4, 0.2, 0.2])
    pixels = np.asarray(instance_picture(photograph(tmp_path), label))
    assert pixels[SIZE[1] // 2, SIZE[0] // 2].tolist() == [GREY] * 3
    assert pixels[5, 5].tolist() == [124] * 3


@pytest.mark.parametrize("size", [(3000, 40), (40, 3000), (1, 1)])
def test_a_photograph_of_any_shape_fits(tmp_path: Path, size: tuple[int, int]) -> None:
    label = fo.Detection(bounding_box=[0, 0, 1, 1], mask=np.ones(size[::-1], dtype=bool))
    assert instance_picture(photograph(tmp_path, size), label).size == SIZE


def test_a_photograph_that_is_gone_is_said_in_words(tmp_path: Path) -> None:
    label = fo.Detection(bounding_box=[0, 0, 1, 1])
    picture = instance_picture(str(tmp_path / "gone.png"), label)
    assert picture.size == SIZE
    assert len(picture.getcolors() or ()) > 1


def test_an_address_holds_the_whole_picture(tmp_path: Path) -> None:
    label = fo.Detection(bounding_box=[0.4, 0.4, 0.2, 0.2])
    address = data_address(instance_picture(photograph(tmp_path), label))
    head, data = address.split(",")
    assert head == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == SIZE


def test_a_mask_is_shown_stretched_over_its_box_and_cut_at_the_edge(tmp_path: Path) -> None:
    mask = np.array([[True, False], [True, False]])
    label = fo.Detection(bounding_box=[-0.2, 0.25, 0.8, 0.5], mask=mask)
    pixels = np.asarray(instance_picture(photograph(tmp_path), label)).astype(int)
    bright = (pixels == GREY).all(axis=2)
    columns = np.flatnonzero(bright.any(axis=0))
    rows = np.flatnonzero(bright.any(axis=1))
    # Of the 400 x 300 photograph the columns 0 to 80 of rows 75 to 225 are the mask.
    assert (rows[-1] - rows[0]) / (columns[-1] - columns[0]) == pytest.approx(150 / 80, rel=0.05)


def examples(dataset: fo.Dataset, count: int) -> list[tuple[str, str]]:
    rows = zip(dataset.values("id"), dataset.values("ovsam.detections.id"))
    return [(sample_id, label_id) for sample_id, ids in rows for label_id in ids][:count]


def test_crops_stand_side_by_side_as_wide_as_they_are_many(labelled: fo.Dataset) -> None:
    one, three = (group_picture(labelled, "ovsam", examples(labelled, n)) for n in (1, 3))
    assert one.size == CROP
    assert three.height == CROP[1]
    gap = (three.width - 3 * CROP[0]) / 2
    assert 0 < gap < 10
    pixels = np.asarray(three)
    assert (pixels[:, : CROP[0]] == np.asarray(one)).all()
    parts = [pixels[:, int(i * (CROP[0] + gap)) :][:, : CROP[0]] for i in range(3)]
    assert all(part.std() > 10 for part in parts)
    assert not (parts[1] == parts[2]).all()


def test_instances_that_are_gone_are_left_out(labelled: fo.Dataset) -> None:
    shown = examples(labelled, 2)
    sample_id = shown[0][0]
    picture = group_picture(
        labelled, "ovsam", [(sample_id, "0" * 24), *shown, ("0" * 24, "0" * 24)]
    )
    assert picture.size == group_picture(labelled, "ovsam", shown).size
    assert group_picture(labelled, "ovsam", [(sample_id, "0" * 24)]).size == (1, CROP[1])
