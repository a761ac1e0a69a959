"""Classes that have examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ovsam_plugin.vocabulary import Category, Vocabulary, load_vocabulary
from ovsam_plugin.vocabulary.example import picture_example, read_examples, with_examples


def test_examples_are_part_of_the_hash_and_nothing_else_changes_it() -> None:
    plain = Vocabulary("v", (Category("cat"), Category("dog")))
    shown = Vocabulary("v", (Category("cat", examples=("a",)), Category("dog")))
    other = Vocabulary("v", (Category("cat", examples=("b",)), Category("dog")))
    assert len({plain.hash, shown.hash, other.hash}) == 3
    assert plain.hash == load_vocabulary("cat, dog").hash
    assert (plain.by_example, shown.by_example) == ((), (0,))


@pytest.mark.parametrize(
    ("given", "error", "why"),
    [
        ({"examples": "a"}, TypeError, "list of label ids"),
        ({"examples": (1,)}, TypeError, "list of label ids"),
        ({"words": False}, ValueError, "neither words nor examples"),
    ],
)
def test_what_is_no_example_is_refused(given: dict[str, Any], error: type, why: str) -> None:
    with pytest.raises(error, match=why):
        Category("valve", **given)


def test_an_example_may_be_a_box_of_an_image_file() -> None:
    found = picture_example("a folder/valve:1.jpg:10,20,30.5,40")
    assert found is not None
    assert (found.path, found.xyxy) == (Path("a folder/valve:1.jpg"), (10, 20, 30.5, 40))
    for other in ("65f000000000000000000001", "valve.jpg", "valve.jpg:1,2,3", ":1,2,3,4", "a:b,c"):
        assert picture_example(other) is None


def test_examples_are_read_by_class() -> None:
    found = read_examples(["valve=a.jpg:0,0,1,1", "gear=b", "valve = c "])
    assert found == {"valve": ["a.jpg:0,0,1,1", "c"], "gear": ["b"]}
    for wrong in ("valve", "=a", "valve="):
        with pytest.raises(ValueError, match="is not an example of a class"):
            read_examples([wrong])


def test_a_class_that_is_there_gets_examples_and_another_is_added() -> None:
    base = load_vocabulary("cat|kitty, dog")
    found = with_examples(base, {"kitty": ["a"], "valve": ["b"]})
    assert found.names == ("cat", "dog", "valve")
    assert found.categories[0] == Category("cat", ("cat", "kitty"), examples=("a",))
    assert found.by_example == (0, 2)
    again = with_examples(found, {"cat": ["c"]})
    assert again.categories[0].examples == ("a", "c")
    assert with_examples(base, {}) is base
