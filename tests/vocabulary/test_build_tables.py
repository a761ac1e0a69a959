"""How the tables are made."""

from __future__ import annotations

from pathlib import Path

import pytest

from ovsam_plugin.vocabulary.build_tables import TABLES, Synset, choose_names, main, opening


@pytest.mark.parametrize(
    ("definition", "words", "phrase"),
    [
        (
            "any of numerous small rodents typically resembling diminutive rats",
            0,
            "small rodents typically",
        ),
        ("(cricket) any of three upright wooden posts that form the wicket", 0, "cricket"),
        ("a sandpiper that breeds in the Arctic and winters in the south", 0, "sandpiper"),
        (
            "a sandpiper that breeds in the Arctic and winters in the south",
            6,
            "sandpiper that breeds in the Arctic",
        ),
        ("any of metal, wood, stone; used for building", 0, "metal wood"),
    ],
)
def test_a_sense_is_named_by_the_opening_of_its_definition(
    definition: str, words: int, phrase: str
) -> None:
    assert opening(definition, words) == phrase


def test_a_shared_word_goes_to_the_sense_that_is_known_and_has_no_longer_name() -> None:
    synsets = [
        Synset("n1", ("mouse", "computer mouse"), "a device"),
        Synset("n2", ("mouse",), "a small rodent"),
        Synset("n3", ("bat",), "a club for hitting balls"),
        Synset("n4", ("bat",), "a flying mammal"),
        Synset("n5", ("bow",), "a knot"),
        Synset("n6", ("bow",), "a weapon"),
    ]
    assert choose_names(synsets, [frozenset(["n4"])], {"n6": "bow (weapon)"}) == {
        "n1": "computer mouse",
        "n2": "mouse",
        "n3": "bat (club)",
        "n4": "bat",
        "n5": "bow",
        "n6": "bow (weapon)",
    }


def test_the_tables_are_what_their_builder_makes(tmp_path: Path) -> None:
    main(tmp_path)
    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert set(made) == {"imagenet-1k.csv", "imagenet-21k.csv", "open-22k.csv"}
    assert [name for name, text in made.items() if (TABLES / name).read_text() != text] == []
