from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from ovsam_plugin.training.annotations import is_validation, load_annotations
from ovsam_plugin.training.crops import Crop
from ovsam_plugin.training.data import UNKNOWN_CLASS, CocoCrops, endless, normalize
from tests.training.small import TINY, noise, small_set


def crops(file: Path, **settings: object) -> CocoCrops:
    given = {"crop": 64, "max_instances": 3, "seed": 0, **settings}
    return CocoCrops(file.parent / "images", load_annotations(file), **given)  # type: ignore[arg-type]


def region_set(folder: Path) -> tuple[Path, Path]:
    """One photograph and two people's opinions of its regions, as BSDS500 has them."""
    pictures, truths = folder / "pictures", folder / "truths"
    pictures.mkdir()
    truths.mkdir()
    Image.fromarray(noise(0)).save(pictures / "2018.jpg")
    levels = np.empty((1, 2), dtype=object)
    for i, split in enumerate((20, 40)):
        labels = np.ones((48, 64), dtype=np.uint16)
        labels[:, split:] = 2
        labels[:4, :4] = 3  # 16 pixels: too few
        levels[0, i] = {"Segmentation": labels}
    savemat(truths / "2018.mat", {"groundTruth": levels})
    return pictures, truths


def test_photographs_are_trained_on_or_kept_back_and_never_both(tmp_path: Path) -> None:
    file = small_set(tmp_path, 10)
    trained, kept = crops(file), crops(file, kept=True)
    assert len(trained) == 7
    assert len(kept) == 3
    assert {f"{i}.png" for i in kept.ids} == {f"{i}.png" for i in range(10)} - {
        f"{i}.png" for i in trained.ids
    }
    assert all(is_validation(f"{i}.png") for i in kept.ids)
    assert len(crops(file, kept_back=0.0)) == 10


def test_classes_are_numbered_in_the_order_of_category_ids(tmp_path: Path) -> None:
    file = small_set(tmp_path, 2)
    content = json.loads(file.read_text())
    content["categories"] = [{"id": 9, "name": "cup"}, {"id": 4, "name": "cat"}]
    for annotation in content["annotations"]:
        annotation["category_id"] = 4 if annotation["category_id"] == 1 else 9
    file.write_text(json.dumps(content))
    data = crops(file, kept_back=0.0)
    assert data.names == ["cat", "cup"]
    picture, masks, classes = data._annotated(0)
    assert picture.shape == (48, 64, 3)
    assert [int(mask.sum()) for mask in masks] == [32 * 24, 30 * 24]
    assert classes == [0, 1]


def test_crowds_and_classes_left_out_are_not_seen(tmp_path: Path) -> None:
    file = small_set(tmp_path, 3)
    content = json.loads(file.read_text())
    for annotation in content["annotations"]:
        if annotation["image_id"] == 1:
            annotation.update(iscrowd=1, segmentation={"size": [48, 64], "counts": [0, 48 * 64]})
    file.write_text(json.dumps(content))
    data = crops(file, kept_back=0.0, left_out=frozenset({2}))
    assert [data._annotated(i)[2] for i in range(3)] == [[0], [], [0]]


def test_a_crop_is_the_same_again_and_another_one_in_the_next_epoch(tmp_path: Path) -> None:
    data = crops(small_set(tmp_path, 2), kept_back=0.0)
    first, again = data[0], data[0]
    assert torch.equal(first.pixels, again.pixels)
    assert torch.equal(first.masks, again.masks)
    data.epoch = 1
    assert not torch.equal(first.pixels, data[0].pixels)
    assert not torch.equal(data[0].pixels, data[1].pixels)


def test_photographs_that_are_not_there_are_counted_and_named(tmp_path: Path) -> None:
    file = small_set(tmp_path, 8)
    for i in (1, 2, 3, 4):
        (tmp_path / "images" / f"{i}.png").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"4 of the 6 annotated .* are not in .*: 1.png, 2.png, 3.png, \.\."
    ):
        crops(file)


def test_regions_are_one_persons_of_the_photograph_and_have_no_class(tmp_path: Path) -> None:
    data = crops(small_set(tmp_path, 2), kept_back=0.0, regions=[region_set(tmp_path)])
    assert len(data) == 3
    seen = set()
    for seed in range(8):
        picture, masks, classes = data._region_map(*data.regions[0], np.random.default_rng(seed))
        assert picture.shape == (48, 64, 3)
        assert classes == [UNKNOWN_CLASS] * len(masks)
        seen.add(tuple(int(mask.sum()) for mask in masks))
    # A region of more than 0.7 of the photograph is its background.
    assert seen == {(48 * 20 - 16, 48 * 44), (48 * 40 - 16, 48 * 24)}
    assert (data[2].classes == UNKNOWN_CLASS).all()


@pytest.mark.parametrize(
    ("part", "reason"),
    [("pictures", "no photographs (.jpg) with regions"), ("truths", "have no ground truth in")],
)
def test_a_folder_of_regions_that_is_empty_is_refused(
    tmp_path: Path, part: str, reason: str
) -> None:
    folders = region_set(tmp_path)
    for file in (tmp_path / part).iterdir():
        file.unlink()
    with pytest.raises(FileNotFoundError) as caught:
        crops(small_set(tmp_path, 2), regions=[folders])
    assert reason in str(caught.value)


def test_pixels_are_normalised_as_the_network_says() -> None:
    pixels = torch.stack([torch.full((64, 64), v) for v in (10, 20, 30)]).to(torch.uint8)
    none = torch.zeros(0)
    crop = Crop(pixels, none, none, none)
    description = replace(TINY, mean=(10.0, 10.0, 10.0), std=(1.0, 2.0, 4.0))
    batch = normalize([crop, crop], description)
    assert batch.shape == (2, 3, 64, 64)
    assert batch[1, :, 5, 5].tolist() == [0, 5, 5]


class Numbers:
    """Each crop tells its row and the epoch it was read in."""

    epoch = 0

    def __len__(self) -> int:
        return 7

    def __getitem__(self, row: int, /) -> tuple[int, int]:
        return self.epoch, row


def read(count: int, start: int = 0, rank: int = 0, world: int = 1) -> list[list[tuple[int, int]]]:
    batches = endless(Numbers(), 2, 5, start, rank=rank, world=world)  # type: ignore[arg-type]
    return [next(batches) for _ in range(count)]  # type: ignore[misc]


def test_batches_go_on_from_any_step_with_the_epoch_of_that_step() -> None:
    whole = read(8)
    assert [batch[0][0] for batch in whole] == [0, 0, 0, 1, 1, 1, 2, 2]
    for start in (1, 3, 5):
        assert read(8 - start, start) == whole[start:]


def test_processes_share_an_epoch_out_between_them() -> None:
    mine, theirs = read(2, rank=0, world=2), read(2, rank=1, world=2)
    assert [batch[0][0] for batch in mine] == [0, 1]
    rows = [row for batch in (mine[0], theirs[0]) for _, row in batch]
    assert len(set(rows)) == 4


def test_batches_loaded_by_workers_are_those_loaded_without(tmp_path: Path) -> None:
    data = crops(small_set(tmp_path, 3), kept_back=0.0)
    for alone, worked in zip(
        (batch for batch, _ in zip(endless(data, 1, 0), range(5))), endless(data, 1, 0, workers=1)
    ):
        assert torch.equal(alone[0].pixels, worked[0].pixels)
