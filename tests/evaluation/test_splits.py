"""Base and novel classes, and classes found under other names."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ovsam_plugin.evaluation.splits import (
    apply_split,
    fitting_vocabulary,
    match_classes,
    merged_classes,
    require_classes,
    split_only,
)
from ovsam_plugin.vocabulary.sources import load_vocabulary
from ovsam_plugin.vocabulary.vocabulary import Category, Vocabulary

COCO, LVIS = load_vocabulary("coco"), load_vocabulary("lvis")


def parts(vocabulary: Vocabulary) -> dict[str, str | None]:
    return {category.name: category.split for category in vocabulary}


def test_the_published_splits_have_their_published_sizes() -> None:
    coco = apply_split(COCO, "coco-48-17")
    assert [sum(c.split == part for c in coco) for part in ("base", "novel", None)] == [48, 17, 15]
    assert len(split_only(coco)) == 65
    lvis = apply_split(LVIS, "lvis-rare")
    assert [sum(c.split == part for c in lvis) for part in ("base", "novel")] == [866, 337]
    assert all(c.split == "novel" for c in lvis if c.frequency == "r")


def test_lvis_file_names_are_lvis_classes() -> None:
    raw = Vocabulary("val.json", (Category("bow_(weapon)"), Category("aerosol_can")))
    split = apply_split(raw, "lvis-rare")
    assert [c.frequency for c in split] == ["r", "c"]
    assert (match_classes(LVIS, LVIS) == range(len(LVIS))).all()


def test_the_vocabulary_that_has_every_class_is_taken() -> None:
    assert fitting_vocabulary(load_vocabulary("cat, hot dog, tv")).name == "coco"
    assert fitting_vocabulary(load_vocabulary("cat, aerosol can")).name == "lvis"
    mine = load_vocabulary("cat, gizmo")
    assert fitting_vocabulary(mine) is mine


@pytest.mark.parametrize(
    "names",
    ["man, woman", "cup, mug, cat", "dog, puppy", "sofa, couch", "mobile phone, cell phone"],
)
def test_a_vocabulary_that_takes_two_classes_for_one_does_not_fit(names: str) -> None:
    fits = fitting_vocabulary(load_vocabulary(names))
    places = match_classes(load_vocabulary(names), fits)
    assert fits.name != "coco"
    assert len(set(places)) == len(places) == len(names.split(","))


def test_classes_that_a_vocabulary_does_not_tell_apart_are_named() -> None:
    classes = load_vocabulary("man, cat, woman, dog, puppy")
    places = match_classes(classes, COCO)
    people, dogs = merged_classes(classes, places, COCO)
    assert people.startswith("'man', 'woman' are one class of the vocabulary 'coco', 'person'")
    assert dogs.startswith("'dog', 'puppy' are one class")
    assert merged_classes(classes, places, COCO, np.array([True, True, False, True, True])) == (
        dogs,
    )
    assert merged_classes(classes, np.arange(5), classes) == ()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s.json", json.dumps({"base": ["cat"], "novel": ["dog"]})),
        ("s.json", json.dumps({"cat": "base", "dog": "novel"})),
        (
            "s.json",
            json.dumps([{"name": "cat", "split": "base"}, {"name": "dog", "split": "novel"}]),
        ),
        ("s.csv", "name,split\ncat,base\ndog,novel\n"),
    ],
)
def test_a_split_may_be_a_file(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    found = apply_split(load_vocabulary("cup, puppy|dog, cat"), tmp_path / name)
    assert parts(found) == {"cup": None, "puppy": "novel", "cat": "base"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"base": ["cat"], "novel": ["unicorn"]}', "1 classes of the split.*'unicorn'"),
        ('{"cat": "new"}', "calls classes 'new'"),
        ('["cat"]', "calls no class base or novel"),
        ("{", "is not JSON"),
    ],
)
def test_a_wrong_split_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "split.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        apply_split(load_vocabulary("cat, dog"), path)


def test_an_unknown_split_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="no split 'coco-65': there are coco-48-17, lvis-rare"):
        apply_split(COCO, "coco-65")


def test_a_split_of_other_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="no class of 'custom' is in the split coco-48-17"):
        apply_split(load_vocabulary("gizmo, gadget"), "coco-48-17")


def test_missing_classes_are_listed_and_long_lists_cut() -> None:
    many = load_vocabulary([f"gizmo {i}" for i in range(14)])
    with pytest.raises(ValueError, match="14 of the classes.*'gizmo 9' and 4 more"):
        require_classes(many, COCO)
