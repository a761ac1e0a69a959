"""The sentences."""

from __future__ import annotations

from typing import Any

import pytest

from ovsam_plugin.vocabulary import CLIP_TEMPLATES, PLAIN_TEMPLATES
from ovsam_plugin.vocabulary.templates import check_templates


def test_the_reference_s_14_sentences_are_distinct_and_sound() -> None:
    assert len(set(CLIP_TEMPLATES)) == 14
    assert check_templates(CLIP_TEMPLATES) == CLIP_TEMPLATES
    assert "There is a medium {} in the scene." in CLIP_TEMPLATES
    assert check_templates(list(PLAIN_TEMPLATES)) == ("a photo of a {}.",)


@pytest.mark.parametrize(
    ("templates", "error", "said"),
    [
        ("a {}", TypeError, "got one string"),
        ([], ValueError, "no template"),
        (["a photo"], ValueError, "exactly one {}"),
        (["{} and {}"], ValueError, "exactly one {}"),
        (["{name}"], ValueError, "exactly one {}"),
    ],
)
def test_templates_without_their_place_are_refused(
    templates: Any, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        check_templates(templates)
