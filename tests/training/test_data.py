from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from ovsam_plugin.training.annotations import is_validation, load_annotations
from ovsam_plugin.training.crops import Crop, whole
from ovsam_plugin.training.data import UNKNOWN_CLASS, CocoCrops, Source, endless, normalize
from tests.training.small import TINY, noise, small_set


def crops(file: Path, **settings: object) -> CocoCrops:
    return of_sources([(file, True)], **settings)


def of_sources(files: Sequence[tuple[Path, bool]], **settings: object) -> CocoCrops:
    """Crops of files, each complete or not."""
    given = {"crop": 64, "max_instances": 3, "seed": 0, **settings}
    sources = [Source(f.parent / "images", load_annotations(f), c) for f, c in files]
    return CocoCrops(sources, **given)  # type: ignore[arg-type]


def names_of(data: CocoCrops) -> list[str]:
    return [path.name for path, *_ in data.items]


def annotated(data: CocoCrops, index: int) -> tuple[list[int], np.ndarray]:
    """Classes and the map of what is unknown of a photograph."""
    picture, masks, classes, unknown = data._annotated(*data.items[index])
    assert len(masks) == len(classes)
    assert all(mask.shape == unknown.shape == picture.shape[:2] for mask in masks)
    return classes, unknown > 0


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
    trained, kept = (crops(file, keep=lambda n, w=w: is_validation(n) == w) for w in (False, True))
    assert len(trained) == 7
    assert len(kept) == 3
    assert set(names_of(kept)) == {f"{i}.png" for i in range(10)} - set(names_of(trained))
    assert len(crops(file)) == 10


def test_of_a_source_that_is_not_complete_nothing_is_kept_back(tmp_path: Path) -> None:
    complete, partial = (small_set(tmp_path / name, 4) for name in ("complete", "partial"))
    data = of_sources([(complete, True), (partial, False)], keep=lambda name: name == "1.png")
    assert names_of(data) == ["1.png", "0.png", "1.png", "2.png", "3.png"]


def test_a_share_of_the_photographs_is_the_same_again_and_among_a_larger_one(
    tmp_path: Path,
) -> None:
    file, regions = small_set(tmp_path, 40), region_set(tmp_path)
    every = crops(file, regions=[regions])
    half, quarter = (set(names_of(crops(file, share=share))) for share in (0.5, 0.25))
    assert quarter < half < set(names_of(every))
    assert 10 <= len(half) <= 30
    assert half == set(names_of(crops(file, share=0.5, seed=9)))
    # Sources that are not complete, and regions, are thinned by the same names.
    assert half == set(names_of(of_sources([(file, False)], share=0.5)))
    assert len(every.regions) == 1
    assert not crops(file, regions=[regions], share=1e-9).regions


def test_a_class_is_one_wherever_its_name_is_and_whatever_its_number(tmp_path: Path) -> None:
    first = small_set(tmp_path / "a", 1, ["cup", "cat"])
    second = small_set(tmp_path / "b", 1, ["dog", "cup"])
    data = of_sources([(first, True), (second, True)])
    assert data.names == ["cup", "cat", "dog"]
    assert [annotated(data, i)[0] for i in (0, 1)] == [[0, 1], [2, 0]]


def test_where_not_all_is_annotated_everything_else_is_unknown(tmp_path: Path) -> None:
    file = small_set(tmp_path, 1)
    things = np.zeros((48, 64), dtype=bool)
    things[8:32, 8:40] = things[20:44, 30:60] = True
    for complete in (True, False):
        _, unknown = annotated(of_sources([(file, complete)]), 0)
        np.testing.assert_array_equal(unknown, ~things & (not complete))
    # And so it is on a crop, in its own place.
    crop = of_sources([(file, False)], jitter=whole)[0]
    assert not (crop.unknown & crop.masks.any(0)).any()
    assert crop.unknown.sum() > 64 * 48 - 1900  # beside the photograph nothing is unknown
    assert not crop.unknown[49:].any()


def test_things_are_pasted_from_other_photographs_onto_some_crops(tmp_path: Path) -> None:
    file = small_set(tmp_path, 2)
    plain, pasted = (crops(file, paste=p, max_instances=9) for p in (False, True))
    more, other = 0, 0
    for epoch in range(30):
        plain.epoch = pasted.epoch = epoch
        for index in range(2):
            a, b = plain[index], pasted[index]
            other += not torch.equal(a.pixels, b.pixels)
            more += len(b.masks) > len(a.masks)
    # Of 60 crops 24 are chosen, of these 18 get an instance or two.
    assert 8 < other < 30
    assert more > 0


def test_classes_are_numbered_in_the_order_of_category_ids(tmp_path: Path) -> None:
    file = small_set(tmp_path, 2)
    content = json.loads(file.read_text())
    content["categories"] = [{"id": 9, "name": "cup"}, {"id": 4, "name": "cat"}]
    for annotation in content["annotations"]:
        annotation["category_id"] = 4 if annotation["category_id"] == 1 else 9
    file.write_text(json.dumps(content))
    data = crops(file)
    assert data.names == ["cat", "cup"]
    picture, masks, classes, _ = data._annotated(*data.items[0])
    assert picture.shape == (48, 64, 3)
    assert [int(mask.sum()) for mask in masks] == [32 * 24, 30 * 24]
    assert classes == [0, 1]


def test_crowds_and_classes_left_out_are_unknown(tmp_path: Path) -> None:
    file = small_set(tmp_path, 3)
    content = json.loads(file.read_text())
    for annotation in content["annotations"]:
        if annotation["image_id"] == 1:
            annotation.update(
                iscrowd=1, segmentation={"size": [48, 64], "counts": [0, 48 * 20, 48 * 44]}
            )
    file.write_text(json.dumps(content))
    data = crops(file, left_out=frozenset({"cup"}))
    seen = [annotated(data, i) for i in range(3)]
    assert [classes for classes, _ in seen] == [[0], [], [0]]
    crowd = np.zeros((48, 64), dtype=bool)
    crowd[:, :20] = True
    np.testing.assert_array_equal(seen[1][1], crowd)
    whole = [annotated(crops(file), i) for i in (0, 2)]
    for (_, unknown), (_, nowhere) in zip((seen[0], seen[2]), whole):
        assert unknown.any()  # where the cup is
        assert not nowhere.any()


def test_a_crop_is_the_same_again_and_another_one_in_the_next_epoch(tmp_path: Path) -> None:
    data = crops(small_set(tmp_path, 2))
    first, again = data[0], data[0]
    assert torch.equal(first.pixels, again.pixels)
    assert torch.equal(first.masks, again.masks)
    data.epoch = 1
    assert not torch.equal(first.pixels, data[0].pixels)
    assert not torch.equal(data[0].pixels, data[1].pixels)


def test_a_photograph_that_cannot_be_used_is_named_and_teaches_nothing(tmp_path: Path) -> None:
    file = small_set(tmp_path, 3)
    Image.fromarray(noise(0, 30, 50)).save(tmp_path / "images" / "1.png")
    (tmp_path / "images" / "2.png").write_bytes(b"no picture")
    data = crops(file)
    assert data[0].problem == ""
    assert data[1].problem.endswith("1.png is 50 x 30, and its annotations say 64 x 48")
    assert "2.png is not an image" in data[2].problem
    for bad in (data[1], data[2]):
        assert bad.pixels.shape == data[0].pixels.shape
        assert len(bad.boxes) == len(bad.masks) == 0
        assert bad.unknown.all()


def test_data_without_anything_to_learn_from_is_refused(tmp_path: Path) -> None:
    file = small_set(tmp_path, 3)
    crops(file).check()
    with pytest.raises(ValueError, match="none is left to train on: give more photographs"):
        crops(file, keep=lambda name: False).check()
    content = json.loads(file.read_text())
    for annotation in content["annotations"]:
        annotation["iscrowd"] = 1
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="no photograph that is trained on has an instance"):
        crops(file).check()
    crops(file, regions=[region_set(tmp_path)]).check()


def test_photographs_that_are_not_there_are_counted_and_named(tmp_path: Path) -> None:
    file = small_set(tmp_path, 8)
    for i in (1, 2, 3, 4):
        (tmp_path / "images" / f"{i}.png").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"4 annotated .* are not in .*: 1.png, 2.png, 3.png, \.\."
    ):
        crops(file)


def test_regions_are_one_persons_of_the_photograph_and_have_no_class(tmp_path: Path) -> None:
    data = crops(small_set(tmp_path, 2), regions=[region_set(tmp_path)])
    assert len(data) == 3
    seen = set()
    for seed in range(8):
        picture, masks, classes = data._region_map(*data.regions[0], np.random.default_rng(seed))
        assert picture.shape == (48, 64, 3)
        assert classes == [UNKNOWN_CLASS] * len(masks)
        seen.add(tuple(int(mask.sum()) for mask in masks))
    # A region of more than 0.7 of the photograph is its background.
    assert seen == {(48 * 20 - 16, 48 * 44), (48 * 40 - 16, 48 * 24)}
    data.jitter = whole
    crop = data[2]
    assert (crop.classes == UNKNOWN_CLASS).all()
    # What is no region may be a thing all the same, and a region more than one.
    assert crop.unknown[:48].all()


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
    crop = Crop(pixels, none, none, none, none)
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
    data = crops(small_set(tmp_path, 3))
    for alone, worked in zip(
        (batch for batch, _ in zip(endless(data, 1, 0), range(5))), endless(data, 1, 0, workers=1)
    ):
        assert torch.equal(alone[0].pixels, worked[0].pixels)
