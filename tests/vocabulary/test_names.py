"""Class names: cleaned, compared, read aloud, split."""

from __future__ import annotations

import unicodedata

import pytest

from ovsam_plugin.vocabulary.names import clean_name, name_key, phrase


@pytest.mark.parametrize(
    ("given", "cleaned"),
    [
        ("  fire \t hydrant\n", "fire hydrant"),
        (unicodedata.normalize("NFD", "café"), "café"),
        ("猫", "猫"),
        ("👩‍🚒", "👩‍🚒"),
        ("\ufeffcat\u200b", "cat"),
        ("x" * 256, "x" * 256),
    ],
)
def test_a_name_keeps_its_letters_and_loses_stray_space(given: str, cleaned: str) -> None:
    assert clean_name(given) == cleaned


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "is empty"),
        ("\u200b", "is empty"),
        (" \n", "is empty"),
        ("x" * 257, "257 characters and a name at most 256"),
        ("cat\x00", r"control character '\\x00'"),
        ("cat\udce9", "control character"),
    ],
)
def test_a_name_that_nobody_could_mean_is_refused(given: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        clean_name(given)


def test_a_name_that_is_no_string_is_refused_and_placed() -> None:
    with pytest.raises(TypeError, match="entry 3 of the list must be a string, got float nan"):
        clean_name(float("nan"), "entry 3 of the list")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Fire_Hydrant", "fire  hydrant"),
        ("flip-flop", "flip flop"),
        ("c\u00adat\u200b", "cat"),
        ("\uff23\uff21\uff34", "cat"),
    ],
)
def test_case_space_underscore_and_hyphen_do_not_tell_names_apart(one: str, other: str) -> None:
    assert name_key(one) == name_key(other)


def test_different_words_have_different_keys() -> None:
    assert len({name_key(n) for n in ("bow (weapon)", "bow (ribbon)", "bow", "café", "cafe")}) == 5


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("fire_hydrant", "fire hydrant"),
        ("🐱", "cat face"),
        ("red 🚲", "red bicycle"),
        ("кошка", "кошка"),
        ("bow_(weapon)", "bow (weapon)"),
        ("_", "_"),
    ],
)
def test_a_tower_reads_words(name: str, read: str) -> None:
    assert phrase(name) == read
