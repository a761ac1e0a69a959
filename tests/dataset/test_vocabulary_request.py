"""The choice of a vocabulary in a form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone as fo
import pytest

from ovsam_plugin.dataset.vocabulary_request import VocabularyRequest, given
from ovsam_plugin.vocabulary import load_vocabulary


@pytest.mark.parametrize(
    ("asked", "spec", "at"),
    [
        ({}, "lvis", "lvis"),
        ({"vocabulary": "names", "names": "cat, cup"}, "cat, cup", "names"),
        ({"vocabulary": "file", "file": "names.txt"}, "names.txt", "file"),
        ({"vocabulary": "field", "class_field": "truth"}, "dataset:truth", "class_field"),
    ],
)
def test_a_choice_is_said_as_the_library_takes_it(
    asked: dict[str, Any], spec: str, at: str
) -> None:
    request = VocabularyRequest(**asked)
    assert (request.vocabulary_spec(), request.vocabulary_input) == (spec, at)


def test_one_name_alone_is_a_name_and_no_built_in_vocabulary() -> None:
    spec = VocabularyRequest(vocabulary="names", names="coco").vocabulary_spec()
    assert load_vocabulary(spec).names == ("coco",)


@pytest.mark.parametrize(
    ("vocabulary", "told"),
    [
        ("names", "enter names separated by commas"),
        ("file", "enter the path"),
        ("field", "choose the field"),
    ],
)
def test_what_a_choice_needs_and_is_blank_is_told(vocabulary: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        VocabularyRequest(vocabulary=vocabulary).vocabulary_spec()
    with pytest.raises(ValueError, match="^needed$"):
        given("  ", "needed")


def test_a_vocabulary_that_cannot_be_read_is_told(labelled: fo.Dataset, tmp_path: Path) -> None:
    assert "ovsam" in VocabularyRequest().class_fields(labelled)
    VocabularyRequest(vocabulary="field", class_field="ovsam").check_vocabulary(labelled)
    with pytest.raises(ValueError, match="there is no field 'ovsm'"):
        VocabularyRequest(vocabulary="field", class_field="ovsm").check_vocabulary(labelled)
    (tmp_path / "names.txt").write_text("cat\n")
    VocabularyRequest(vocabulary="file", file=str(tmp_path / "names.txt")).check_vocabulary(
        labelled
    )
    gone = VocabularyRequest(vocabulary="file", file=str(tmp_path / "gone.txt"))
    with pytest.raises((ValueError, OSError), match="gone.txt"):
        gone.check_vocabulary(labelled)
