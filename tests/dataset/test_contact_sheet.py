"""The contact sheet, looked at pixel by pixel."""

import errno
import os
from itertools import pairwise
from pathlib import Path

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image

from ovsam_plugin.dataset.contact_sheet import (
    SheetTile,
    TileInstance,
    draw_sheet,
    save_sheet,
    tiles_of,
)
from ovsam_plugin.dataset.fields import relative_box
from ovsam_plugin.images.mask_crop import MaskCrop

GREY = np.full((100, 200, 3), 128, dtype=np.uint8)


def tile(*instances: TileInstance) -> SheetTile:
    return SheetTile("a photograph.png", GREY, instances)


def coloured(picture) -> np.ndarray:
    pixels = np.asarray(picture).astype(int)
    return pixels.max(axis=2) - pixels.min(axis=2) > 40


def test_a_mask_is_coloured_where_it_lies_and_nowhere_else():
    left = TileInstance(MaskCrop.at(np.ones((100, 100), dtype=bool)), "")
    difference = coloured(draw_sheet([tile(left)], tile_size=400))
    shown = np.flatnonzero(difference.any(axis=0))
    gap = 400 // 32
    assert abs(shown[0] - gap) <= 2
    assert abs(shown[-1] - (gap + 200)) <= 3


def test_a_name_is_written_on_its_mask():
    mask = np.ones((60, 60), dtype=bool)
    without = draw_sheet([tile(TileInstance(MaskCrop.at(mask, 20, 20), ""))], tile_size=400)
    named = draw_sheet([tile(TileInstance(MaskCrop.at(mask, 20, 20), "cat 0.91"))], tile_size=400)
    changed = np.argwhere((np.asarray(without) != np.asarray(named)).any(axis=2))
    assert len(changed) > 100
    middle = changed.mean(axis=0)
    gap, caption = 400 // 32, 400 // 14
    assert np.abs(middle - (gap + caption + 100, gap + 100)).max() < 12


def test_neighbouring_instances_have_colours_that_differ():
    stripe = np.ones((100, 20), dtype=bool)
    instances = [TileInstance(MaskCrop.at(stripe, 20 * i), "") for i in range(10)]
    pixels = np.asarray(draw_sheet([tile(*instances)], tile_size=400)).astype(int)
    row = pixels[400 // 32 + 400 // 14 + 100]
    seen = [row[400 // 32 + 40 * i + 20] for i in range(10)]
    assert min(np.abs(a - b).sum() for a, b in pairwise(seen)) > 60


def test_an_image_that_could_not_be_read_leaves_a_tile_with_its_reason():
    fine = draw_sheet([tile(), tile()], tile_size=300)
    broken = draw_sheet([tile(), SheetTile("b.png", None, note="b.png is empty")], tile_size=300)
    assert broken.width == fine.width
    assert np.asarray(broken).any()
    assert (np.asarray(broken)[:, 330:] != np.asarray(fine)[: broken.height, 330:]).any()


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 500, 3), (500, 1, 3)])
def test_extreme_shapes_fit_on_the_sheet(shape):
    image = np.zeros(shape, dtype=np.uint8)
    whole = TileInstance(MaskCrop.at(np.ones(shape[:2], dtype=bool)), "everything 1.00")
    picture = draw_sheet([SheetTile("x", image, (whole,))], tile_size=200)
    assert coloured(picture).any()


def test_a_sheet_of_nothing_is_rejected():
    with pytest.raises(ValueError, match="at least one image"):
        draw_sheet([])


def test_labels_lie_on_a_turned_photograph_where_they_are_shown(dataset, turned):
    mask = np.tri(40, 30, dtype=bool)
    box = relative_box((200, 300, 230, 340), (451, 300))
    moved = [-0.1, 0.5, 0.2, 0.1]
    labels = [
        fo.Detection(label="cat", confidence=0.9, bounding_box=box, mask=mask),
        fo.Detection(label="dog", confidence=0.5, bounding_box=moved, mask=mask[:2, :2]),
        fo.Detection(label="cup", bounding_box=box),
        fo.Detection(label="cup", bounding_box=[float("nan"), 0, 1, 1], mask=mask),
    ]
    metadata = fo.ImageMetadata(width=451, height=300)  # as FiftyOne has it for most kinds
    found = fo.Detections(detections=labels)
    dataset.add_sample(fo.Sample(filepath=str(turned), metadata=metadata, found=found))
    (tile,) = tiles_of(dataset[3:], "found")
    assert tile.image.shape == (451, 300, 3)
    assert tile.note == "2 instances"
    cat, dog = (instance.crop for instance in tile.instances)
    np.testing.assert_array_equal(cat.on((451, 300))[300:340, 200:230], mask)
    assert dog.box[0] == 0
    assert dog.box[2] == 30


def test_a_sheet_that_cannot_be_written_leaves_the_one_that_is_there(
    labelled, tmp_path, monkeypatch
):
    path = save_sheet(labelled, "ovsam", tmp_path / "drawn" / "sheet.png")
    before = path.read_bytes()

    def half(picture: Image.Image, file: Path, format: str) -> None:
        file.write_bytes(before[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Image.Image, "save", half)
    with pytest.raises(OSError, match="No space"):
        save_sheet(labelled, "ovsam", path)
    assert path.read_bytes() == before
    assert [*path.parent.iterdir()] == [path]
