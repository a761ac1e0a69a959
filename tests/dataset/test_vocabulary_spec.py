"""Vocabularies that are asked for where there is a dataset."""

from __future__ import annotations

import fiftyone as fo
import pytest

from ovsam_plugin.dataset.vocabulary_spec import vocabulary_of
from ovsam_plugin.vocabulary import load_vocabulary


def test_the_classes_of_a_label_field_are_those_that_are_there(labelled: fo.Dataset) -> None:
    found = vocabulary_of(labelled, "dataset:ovsam")
    assert found.names == ("cat", "cup", "dog", "person", "spoon")
    assert vocabulary_of(labelled, "coco").hash == load_vocabulary("coco").hash
    assert vocabulary_of(labelled, ["dataset:ovsam", "cat"]).names == ("dataset:ovsam", "cat")


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("dataset:", "there is no field ''"),
        ("dataset:ovsm", "there is no field 'ovsm'.*'ovsam'"),
        ("dataset:filepath", "holds no labels with classes"),
    ],
)
def test_a_field_without_classes_is_refused(labelled: fo.Dataset, spec: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        vocabulary_of(labelled, spec)


def test_examples_are_those_of_their_classes(labelled: fo.Dataset) -> None:
    found = vocabulary_of(labelled, "cat, valve", {"valve": ["a" * 24]})
    assert found.by_example == (1,)
    assert found.categories[1].examples == ("a" * 24,)


def test_the_classes_of_a_field_are_those_of_all_slices(two_slices: fo.Dataset) -> None:
    assert vocabulary_of(two_slices, "dataset:ovsam").names == ("cat", "cup", "dog", "spoon")
