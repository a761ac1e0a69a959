from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ovsam_plugin.training.annotations import (
    file_of,
    find_image,
    is_validation,
    load_annotations,
    not_of_split,
)
from ovsam_plugin.vocabulary.sources import load_vocabulary
from tests.training.small import coco_content

Content = dict[str, Any]


def written(folder: Path, content: object) -> Path:
    path = folder / "coco.json"
    path.write_text(json.dumps(content))
    return path


def test_a_sound_file_is_read_with_its_masks(tmp_path: Path) -> None:
    coco = load_annotations(written(tmp_path, coco_content(["0.png"], ["cat", "cup"])))
    assert [c["name"] for c in coco.cats.values()] == ["cat", "cup"]
    (cat, _) = coco.imgToAnns[0]
    assert coco.annToMask(cat).sum() == 32 * 24


def test_reading_says_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load_annotations(written(tmp_path, coco_content(["0.png"], ["cat"])))
    assert capsys.readouterr().out == ""


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no annotation file at .*absent.json"):
        load_annotations(tmp_path / "absent.json")


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    (tmp_path / "coco.json").write_text('{"images": [')
    with pytest.raises(ValueError, match="coco.json is not JSON"):
        load_annotations(tmp_path / "coco.json")


@pytest.mark.parametrize("content", [[], 3, {}, {"images": []}, {"images": "all"}])
def test_what_is_no_annotation_file_is_refused_with_what_one_is(
    tmp_path: Path, content: object
) -> None:
    with pytest.raises(ValueError, match="annotation file .*has|an annotation file is an object"):
        load_annotations(written(tmp_path, content))


def without(part: str, key: str) -> Callable[[Content], object]:
    return lambda content: content[part][0].pop(key)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (without("images", "width"), "no width and height"),
        (without("images", "file_name"), "neither"),
        (lambda c: [a.pop("segmentation") for a in c["annotations"]], "missing or empty"),
        (lambda c: [a.update(image_id=77) for a in c["annotations"]], "no image with id 77"),
        (lambda c: c.update(categories=[]), "which is not listed"),
    ],
)
def test_a_file_of_which_nothing_is_left_is_refused_with_the_reason(
    tmp_path: Path, damage: Callable[[Content], object], reason: str
) -> None:
    content = coco_content(["0.png"], ["cat", "cup"])
    damage(content)
    with pytest.raises(ValueError, match=reason):
        load_annotations(written(tmp_path, content))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (without("annotations", "segmentation"), "missing or empty"),
        (lambda c: c["annotations"][0].update(segmentation=[[1, 2, 3]]), "odd number"),
        (lambda c: c["annotations"][0].update(segmentation={"size": [9, 9]}), "counts"),
        (lambda c: c["annotations"][0].update(image_id=77), "no image with id 77"),
        (lambda c: c["annotations"][0].update(category_id=9), "of class 9"),
        (without("categories", "name"), "name of categories"),
    ],
)
def test_an_annotation_that_cannot_be_used_costs_no_other(
    tmp_path: Path, damage: Callable[[Content], object], reason: str
) -> None:
    content = coco_content(["0.png"], ["cat", "cup"])
    whole = load_annotations(written(tmp_path, content))
    damage(content)
    with pytest.warns(UserWarning, match=reason):
        coco = load_annotations(written(tmp_path, content))
    (left,) = coco.imgToAnns[0]
    second = whole.imgToAnns[0][1]
    assert left["id"] == second["id"]
    assert coco.cats[left["category_id"]]["name"] == "cup"
    assert np.array_equal(coco.annToMask(left), whole.annToMask(second))


def test_what_is_read_is_as_pycocotools_takes_it(tmp_path: Path) -> None:
    """Ids, sizes, flags and areas as text; a polygon as pairs; run lengths without a size."""
    content = coco_content(["0.png"], ["cat", "cup"])
    whole = load_annotations(written(tmp_path, content))
    masks = [whole.annToMask(a) for a in whole.imgToAnns[0]]
    pairs, runs = content["annotations"]
    polygon = pairs["segmentation"][0]
    pairs["segmentation"] = [list(pair) for pair in zip(polygon[::2], polygon[1::2])]
    runs["segmentation"] = {"counts": whole.annToRLE(whole.imgToAnns[0][1])["counts"]}
    for record in (*content["images"], *content["annotations"], *content["categories"]):
        record.update({k: str(v) for k, v in record.items() if isinstance(v, int | float)})
    runs["area"] = None
    coco = load_annotations(written(tmp_path, content))
    (image,) = coco.imgs.values()
    assert (image["height"], image["width"]) == masks[0].shape
    found = coco.imgToAnns[image["id"]]
    assert [a["iscrowd"] for a in found] == [0, 0]
    assert found[1]["area"] == masks[1].sum()
    for annotation, mask in zip(found, masks):
        assert np.array_equal(coco.annToMask(annotation), mask)
    assert [coco.cats[a["category_id"]]["name"] for a in found] == ["cat", "cup"]
    assert sorted(coco.getCatIds()) == [0, 1]


def test_a_size_that_the_image_lacks_is_that_of_its_run_lengths(tmp_path: Path) -> None:
    content = coco_content(["0.png"], ["cat"])
    whole = load_annotations(written(tmp_path, content))
    mask = whole.annToMask(whole.imgToAnns[0][0])
    runs = whole.annToRLE(whole.imgToAnns[0][0])
    content["annotations"][0]["segmentation"] = runs
    for key in ("width", "height"):
        content["images"][0].pop(key)
    coco = load_annotations(written(tmp_path, content))
    assert np.array_equal(coco.annToMask(coco.imgToAnns[0][0]), mask)


def test_an_lvis_record_names_its_file_by_its_address() -> None:
    url = "http://images.cocodataset.org/train2017/000000391895.jpg"
    assert file_of({"coco_url": url}) == "train2017/000000391895.jpg"
    assert file_of({"file_name": "a.jpg", "coco_url": url}) == "a.jpg"
    with pytest.raises(ValueError, match="neither"):
        file_of({"id": 3})


def test_a_salt_chooses_others() -> None:
    names = [f"{i}.jpg" for i in range(400)]
    one, other = ([is_validation(n, 0.5, salt) for n in names] for salt in ("", "val/"))
    assert 120 < sum(a != b for a, b in zip(one, other)) < 280


def test_a_photograph_is_found_with_and_without_its_folders(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "a.jpg").touch()
    (tmp_path / "b.jpg").touch()
    assert find_image(tmp_path, "train/a.jpg") == tmp_path / "train" / "a.jpg"
    assert find_image(tmp_path, "train2017/b.jpg") == tmp_path / "b.jpg"
    assert find_image(tmp_path, "c.jpg") is None


def test_all_but_the_base_classes_are_left_out(tmp_path: Path) -> None:
    """Cat is novel, hair drier in neither group, and a bogey in no vocabulary."""
    names = ["person", "Fire_Hydrant", "cat", "hair drier", "bogey", "hot dog", "train"]
    content = coco_content(["0.png"], names[:2])
    content["categories"] = [{"id": i, "name": n} for i, n in enumerate(names, 1)]
    coco = load_annotations(written(tmp_path, content))
    left_out = not_of_split(coco, load_vocabulary("coco"), "base")
    assert {names[i - 1] for i in range(1, 8) if i not in left_out} == {"person", "train"}


def test_the_share_kept_back_is_about_what_is_asked_and_never_changes() -> None:
    names = [f"{i:012d}.jpg" for i in range(4000)]
    kept = [is_validation(name) for name in names]
    assert 0.13 < np.mean(kept) < 0.17
    assert kept == [is_validation(name) for name in names]
    assert [i for i in range(20) if is_validation(f"{i}.png")] == [0, 6, 8, 18]
    assert all(is_validation(n, 0.3) for n, k in zip(names, kept) if k)
