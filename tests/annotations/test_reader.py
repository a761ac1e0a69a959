"""Annotation files as tools write them: what each oddity costs."""

from __future__ import annotations

import contextlib
import gzip
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ovsam_plugin.annotations import AnnotationFile, read_annotation_file
from ovsam_plugin.dataset.annotations import read_annotations
from ovsam_plugin.evaluation.ground_truth import read_ground_truth
from ovsam_plugin.training.annotations import file_of, is_validation, load_annotations
from ovsam_plugin.training.examples import CocoPhotographs
from ovsam_plugin.vocabulary.sources import load_vocabulary

Content = dict[str, Any]
Change = Callable[[Content], object]


def content() -> Content:
    square = [[2, 2, 7, 2, 7, 7, 2, 7]]
    return {
        "images": [
            {"id": i, "file_name": f"{i}.jpg", "width": 10, "height": 8} for i in (1, 2, 3)
        ],
        "annotations": [
            {"id": 10 + i, "image_id": i, "category_id": 5 + i % 2, "bbox": [2, 2, 5, 5],
             "area": 25, "iscrowd": 0, "segmentation": square}
            for i in (1, 2, 3)
        ],
        "categories": [{"id": 5, "name": "cat"}, {"id": 6, "name": "cup"}],
    }  # fmt: skip


def read(folder: Path, change: Change | None = None, **options: bool) -> AnnotationFile:
    made = content()
    if change is not None:
        change(made)
    path = folder / "gt.json"
    path.write_text(json.dumps(made))
    return read_annotation_file(path, **options)


def facts(file: AnnotationFile) -> list[tuple[Any, ...]]:
    """Of each annotation: its photograph, class, whether it is a crowd, its box and its area."""
    names = {image.id: (image.file_name, image.size) for image in file.images}
    return [
        (names[a.image_id], file.categories[a.category].name, a.crowd, a.box((8, 10)), a.area)
        for a in file.annotations
        if a.error is None and a.category is not None and a.image_id is not None
    ]


def respell(spell: Callable[[Any], object]) -> Change:
    def change(made: Content) -> None:
        for record in made["images"]:
            record.update({k: spell(record[k]) for k in ("id", "width", "height")})
        for record in made["annotations"]:
            keys = ("id", "image_id", "category_id", "area", "iscrowd")
            record.update({k: spell(record[k]) for k in keys})
            record["bbox"] = [spell(v) for v in record["bbox"]]
        for record in made["categories"]:
            record["id"] = spell(record["id"])

    return change


@pytest.mark.parametrize("spell", [int, float, str, lambda v: str(float(v)), lambda v: f" {v} "])
def test_numbers_mean_the_same_however_they_are_spelled(tmp_path: Path, spell: Any) -> None:
    assert facts(read(tmp_path, respell(spell))) == facts(read(tmp_path))


@pytest.mark.parametrize("part", ["images", "annotations", "categories"])
@pytest.mark.parametrize("spell", [float, str])
def test_lists_that_spell_ids_differently_belong_together(
    tmp_path: Path, part: str, spell: Any
) -> None:
    def change(made: Content) -> None:
        keys = ("image_id", "category_id") if part == "annotations" else ("id",)
        for record in made[part]:
            record.update({k: spell(record[k]) for k in keys})

    file = read(tmp_path, change)
    assert facts(file) == facts(read(tmp_path))
    assert not file.notes


def test_what_goes_out_has_the_ids_that_the_annotations_use(tmp_path: Path) -> None:
    def change(made: Content) -> None:
        for record in made["annotations"]:
            record["image_id"] = str(record["image_id"])
            record["category_id"] = str(record["category_id"])

    file = read(tmp_path, change)
    assert [image.id for image in file.images] == ["1", "2", "3"]
    assert [category.id for category in file.categories] == ["5", "6"]
    assert [a.image_id for a in file.annotations] == ["1", "2", "3"]


@pytest.mark.parametrize("ids", [(0, 1), ("a", "b"), ("0", "1"), (5, 0)])
def test_a_class_may_have_the_id_zero_or_a_text(tmp_path: Path, ids: tuple[Any, Any]) -> None:
    def change(made: Content) -> None:
        for record in (*made["categories"], *made["annotations"]):
            key = "id" if "name" in record else "category_id"
            record[key] = ids[record[key] - 5]

    file = read(tmp_path, change)
    assert [c.id for c in file.categories] == list(ids)
    assert [a.category for a in file.annotations] == [1, 0, 1]


@pytest.mark.parametrize("names", [("cat", "cat"), ("Cat", "cat"), ("hot_dog", "hot dog")])
def test_classes_that_share_a_name_are_one_with_the_id_in_use(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    def change(made: Content) -> None:
        for record, name in zip(made["categories"], names):
            record["name"] = name

    file = read(tmp_path, change)
    assert [(c.id, c.name) for c in file.categories] == [(6, names[0])]
    assert [a.category for a in file.annotations] == [0, 0, 0]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c: c["annotations"][0].update(image_id=9), "no image with id 9"),
        (lambda c: c["annotations"][0].update(image_id=None), "image_id is None"),
        (lambda c: c["annotations"][0].pop("image_id"), "image_id is None"),
        (lambda c: c["annotations"][0].update(image_id=[1]), r"image_id is \[1\]"),
        (lambda c: c["annotations"][0].update(image_id=math.nan), "image_id is nan"),
        (lambda c: c["annotations"][0].update(iscrowd="perhaps"), "iscrowd is 'perhaps'"),
        (lambda c: c["images"][0].pop("file_name"), "neither"),
        (lambda c: c["images"][0].update(file_name=None), "neither"),
        (lambda c: c["images"][0].pop("id"), "no image with id 1"),
        (lambda c: c["images"].pop(0), "no image with id 1"),
        (lambda c: c["images"].append({"id": "1", "file_name": "b.jpg"}), "two images have the id"),
        (lambda c: c["annotations"][0].update(category_id=9), "of class 9"),
        (lambda c: c["annotations"][0].update(category_id=None), "of class None"),
        (lambda c: c["annotations"][0].pop("category_id"), "of class None"),
        (lambda c: c["annotations"][0].update(category_id={}), "of class {}"),
    ],
)
def test_an_oddity_costs_its_own_annotation(tmp_path: Path, change: Change, reason: str) -> None:
    file = read(tmp_path, change)
    first, *others = file.annotations
    with pytest.raises(ValueError, match=reason):
        raise ValueError(first.error or first.class_error)
    assert [a.error or a.class_error for a in others] == [None, None]
    assert facts(file) == facts(read(tmp_path))[1:]


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["images"].append({"id": 1, "file_name": "im/1.jpg", "width": 10, "height": 8}),
        lambda c: c["images"].append({"id": 9, "file_name": "9.jpg"}),
        lambda c: c["images"].append({"file_name": "9.jpg"}),
        lambda c: c["images"].append("9.jpg"),
        lambda c: c["annotations"].append(None),
        lambda c: c["categories"].append({"id": 7}),
        lambda c: c["categories"].append({"id": 7, "name": None}),
        lambda c: c["categories"].append(["dog"]),
        lambda c: c["annotations"][0].update(id=None),
        lambda c: c["annotations"][0].pop("id"),
        lambda c: c["annotations"][0].update(id=12),
        lambda c: c["annotations"][0].update(iscrowd=None),
        lambda c: c["annotations"][0].pop("iscrowd"),
        lambda c: c["annotations"][0].update(iscrowd="0"),
        lambda c: c["annotations"][0].update(bbox=None),
        lambda c: c["annotations"][0].pop("bbox"),
        lambda c: c["annotations"][0].update(segmentation=None),
        lambda c: c["categories"][0].update(synonyms=None),
        lambda c: c["categories"][0].update(synonyms=[None, "", "x" * 999, "kitty"]),
        lambda c: c["categories"][0].update(frequency="often"),
    ],
)
def test_what_is_superfluous_or_left_out_costs_nothing(tmp_path: Path, change: Change) -> None:
    assert facts(read(tmp_path, change)) == facts(read(tmp_path))


def test_two_classes_of_one_id_cost_the_annotations_of_that_id(tmp_path: Path) -> None:
    file = read(tmp_path, lambda c: c["categories"].append({"id": "6", "name": "dog"}))
    assert [a.category for a in file.annotations] == [None, 0, None]
    assert "'cup' and 'dog'" in str(file.annotations[0].class_error)


def test_sizes_that_say_nothing_are_not_known(tmp_path: Path) -> None:
    for width in (None, 0, -5, "wide", math.nan, 10.5, [10]):
        file = read(tmp_path, lambda c, w=width: c["images"][0].update(width=w))  # type: ignore[misc]
        assert [image.size for image in file.images] == [None, (8, 10), (8, 10)]


def test_crowds_are_instances_where_that_is_asked_for(tmp_path: Path) -> None:
    def change(made: Content) -> None:
        for record, crowd in zip(made["annotations"], (1, "1", True)):
            record["iscrowd"] = crowd

    assert [a.crowd for a in read(tmp_path, change).annotations] == [True] * 3
    assert [a.crowd for a in read(tmp_path, change, crowds=True).annotations] == [False] * 3


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_a_byte_order_mark_tells_the_encoding(tmp_path: Path, encoding: str) -> None:
    made = content()
    made["categories"][0]["name"] = "caf\u00e9"
    path = tmp_path / "gt.json"
    path.write_bytes(json.dumps(made, ensure_ascii=False).encode(encoding))
    assert read_annotation_file(path).categories[0].name == "caf\u00e9"
    assert load_vocabulary(path).names == ("caf\u00e9", "cup")


def test_bytes_that_are_not_utf8_cost_no_more_than_their_letter(tmp_path: Path) -> None:
    path = tmp_path / "gt.json"
    path.write_bytes(json.dumps(content()).replace("1.jpg", "caf\u00e9.jpg").encode("latin-1"))
    file = read_annotation_file(path)
    assert file.images[0].file_name == "caf%E9.jpg"
    assert json.dumps(file.images[0].file_name, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("\x00\x01", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "results file"),
        ("3", "holds a int"),
        ("{}", 'has no "annotations"'),
        ('{"annotations": []}', 'has no "images"'),
        ('{"annotations": null, "images": []}', 'has no "annotations"'),
        ('{"images": 4, "annotations": []}', "not a list of objects"),
        ('{"images": [4], "annotations": []}', "not a list of objects"),
        ('{"images": [], "annotations": ["a"]}', "not a list of objects"),
        ('{"images": [{"id": 1}], "annotations": []}', "neither"),
        ('{"images": [{"file_name": "a"}], "annotations": []}', "id None"),
        ('{"images": [], "annotations": [], "categories": 7}', "not a list of objects"),
    ],
)
def test_a_file_in_which_nothing_can_be_trusted_is_refused(
    tmp_path: Path, text: str, reason: str
) -> None:
    path = tmp_path / "gt.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=reason):
        read_annotation_file(path)


def test_a_file_that_is_not_there_or_is_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no annotation file"):
        read_annotation_file(tmp_path / "none.json")
    with pytest.raises(ValueError, match="cannot be read"):
        read_annotation_file(tmp_path)
    (tmp_path / "noise.json").write_bytes(bytes(range(255, 0, -1)))
    with pytest.raises(ValueError, match="is not JSON"):
        read_annotation_file(str(tmp_path / "noise.json"))


@pytest.mark.parametrize(
    "record",
    [
        {"coco_url": "http://images.cocodataset.org/train2017/000000000009.jpg"},
        {"file_name": "000000000009.jpg"},
        {"file_name": "train2017\\000000000009.jpg"},
        {"file_name": "C:\\coco\\train2017\\000000000009.JPG"},
    ],
)
def test_every_door_calls_a_photograph_the_same(tmp_path: Path, record: Content) -> None:
    made = content()
    made["images"] = [{"id": 1, "width": 10, "height": 8, **record}]
    path = tmp_path / "gt.json"
    path.write_text(json.dumps(made))
    seen: list[str] = []
    CocoPhotographs(tmp_path, path, keep=lambda name: not seen.append(name))
    names = {
        *seen,
        read_annotations(path, "box").images[0].file_name,
        read_ground_truth(path).images[0].file_name,
        *map(file_of, load_annotations(path).imgs.values()),
        file_of(record),
    }
    assert len(names) == 1
    for share in (0.1, 0.15, 0.5, 0.9):
        assert is_validation(names.pop(), share) == is_validation("000000000009.jpg", share)
        names = {file_of(record)}


# Of the first 60 names, those that published figures keep back.
KEPT = [5, 11, 14, 22, 28, 29, 31, 34, 42, 50, 55]


def test_plain_names_fall_where_they_fell() -> None:
    assert [i for i in range(60) if is_validation(f"{i:012d}.jpg")] == KEPT
    address = "http://images.cocodataset.org/val2017/{:012d}.jpg"
    assert [i for i in range(60) if is_validation(address.format(i))] == KEPT
    assert [i for i in range(60) if is_validation(f"val2017/{i:012d}.jpg")] == KEPT


_JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 12) | st.floats() | st.text(max_size=4)
    | st.sampled_from(["1", "10.0", "a.jpg", "\udce9", math.nan, [[2, 2, 7, 2, 7, 7]]]),
    lambda part: st.lists(part, max_size=4) | st.dictionaries(
        st.sampled_from(["id", "image_id", "size", "counts", "file_name", "name"]), part, max_size=3
    ),
    max_leaves=6,
)  # fmt: skip
_DAMAGE = st.lists(
    st.tuples(
        st.sampled_from(["images", "annotations", "categories"]),
        st.integers(0, 2),
        st.sampled_from(["id", "image_id", "category_id", "bbox", "segmentation", "area",
                         "iscrowd", "file_name", "width", "height", "name", "synonyms", None]),
        _JUNK,
    ),
    min_size=1, max_size=4,
)  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*records are left out")
@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(_DAMAGE)
def test_whatever_is_damaged_the_rest_is_read_right_or_the_file_is_refused_in_words(
    tmp_path: Path, damage: list[tuple[str, int, str | None, Any]]
) -> None:
    made = content()
    for part, index, key, junk in damage:
        index %= len(made[part])
        if key is None or not isinstance(made[part][index], dict):
            made[part][index] = junk
        else:
            made[part][index][key] = junk
    path = tmp_path / "gt.json"
    path.write_text(json.dumps(made))
    touched = {(part, index % len(made[part])) for part, index, _, _ in damage}
    for door in (read_ground_truth, load_annotations, lambda p: CocoPhotographs(tmp_path, p)):
        with contextlib.suppress(ValueError):
            door(path)
    if {part for part, _ in touched} != {"annotations"} or len(touched) == 3:
        return
    file = read_annotation_file(path)
    # Images and classes are whole: what was not touched is what it was.
    whole = {a["id"]: a for a in content()["annotations"]}
    records = [i for i, a in enumerate(made["annotations"]) if isinstance(a, dict)]
    for place, annotation in zip(records, file.annotations, strict=True):
        if ("annotations", place) not in touched:
            written = whole[annotation.id]
            assert annotation.image_id == written["image_id"]
            assert annotation.category == written["category_id"] - 5
            assert annotation.box((8, 10)) == (2, 2, 7, 7)
            assert annotation.mask((8, 10)).sum() == 25


def test_classes_of_a_file_in_latin_1_are_read_as_words(tmp_path: Path) -> None:
    made = content()
    made["categories"][0] |= {"name": "caf\u00e9 au lait", "synonyms": ["gar\u00e7on"]}
    path = tmp_path / "old.json"
    path.write_bytes(json.dumps(made, ensure_ascii=False).encode("latin-1"))
    category = read_annotation_file(path).categories[0]
    assert (category.name, category.synonyms) == ("caf\u00e9 au lait", ("gar\u00e7on",))


def test_a_gzipped_file_is_read_and_a_damaged_one_named(tmp_path: Path) -> None:
    packed = gzip.compress(json.dumps(content()).encode())
    path = tmp_path / "made.json.gz"
    path.write_bytes(packed)
    assert len(read_annotation_file(path).images) == len(content()["images"])
    path.write_bytes(packed[:-20])
    with pytest.raises(ValueError, match="damaged gzip file"):
        read_annotation_file(path)
