"""Categories and vocabularies as values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ovsam_plugin.vocabulary import Category, Vocabulary

CAT = Category("cat", ("cat", "kitty"), "base", "f", 7)
PETS = Vocabulary("pets", (CAT, Category("dog")))


def test_a_category_without_synonyms_is_called_by_its_name() -> None:
    assert Category("dog").synonyms == ("dog",)


@pytest.mark.parametrize(
    ("fields", "error", "said"),
    [
        ({"split": "train"}, ValueError, "split of 'cat' is 'train', allowed: 'base', 'novel'"),
        ({"frequency": "x"}, ValueError, "frequency of 'cat' is 'x'"),
        ({"id": "7"}, TypeError, "must be an integer"),
        ({"id": True}, TypeError, "must be an integer"),
        ({"synonyms": "kitty"}, TypeError, "is a list, got the string 'kitty'"),
        ({"synonyms": ("kitty", " ")}, ValueError, "a synonym of 'cat' is empty"),
    ],
)
def test_a_category_says_what_is_wrong_with_it(
    fields: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        Category("cat", **fields)


def test_a_vocabulary_has_a_class_at_least() -> None:
    with pytest.raises(ValueError, match="has no class"):
        Vocabulary("empty", ())


def test_a_vocabulary_has_distinct_names() -> None:
    with pytest.raises(ValueError, match="'fire hydrant' and 'Fire_hydrant', which are the same"):
        Vocabulary("twice", (Category("fire hydrant"), Category("Fire_hydrant")))


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Cat"},
        {"synonyms": ("kitty", "cat")},
        {"split": None},
        {"frequency": "c"},
        {"id": 8},
    ],
)
def test_the_hash_changes_with_all_that_changes_results(change: dict[str, Any]) -> None:
    assert Vocabulary("pets", (replace(CAT, **change), Category("dog"))).hash != PETS.hash


def test_the_hash_changes_with_the_order_but_not_with_the_vocabulary_s_name() -> None:
    assert Vocabulary("pets", PETS.categories[::-1]).hash != PETS.hash
    assert Vocabulary("animals", PETS.categories).hash == PETS.hash
    assert len(PETS.hash) == 64


def test_a_class_is_found_by_name_before_synonym_however_it_is_written() -> None:
    vocabulary = Vocabulary("v", (Category("tv", ("tv", "monitor")), Category("monitor")))
    assert vocabulary.find("TV") == 0
    assert vocabulary.find("monitor") == 1
    assert PETS.find("KITTY") == 0
    assert PETS.find("horse") is None
