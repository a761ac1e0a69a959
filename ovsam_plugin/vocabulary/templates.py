"""The sentences that class names are put into before a text tower reads them."""

from __future__ import annotations

from collections.abc import Sequence

_SIZES = ("small", "medium", "large")

CLIP_TEMPLATES: tuple[str, ...] = (
    "a photo of a {}.",
    "This is a photo of a {}",
    "There is a {} in the scene",
    "There is the {} in the scene",
    "a photo of a {} in the scene",
    *(f"a photo of a {size} {{}}." for size in _SIZES),
    *(f"This is a photo of a {size} {{}}." for size in _SIZES),
    *(f"There is a {size} {{}} in the scene." for size in _SIZES),
)
"""The 14 sentences of the reference, for CLIP text towers."""

PLAIN_TEMPLATES: tuple[str, ...] = ("a photo of a {}.",)
"""One sentence, for a sentence-embedding tower, where more of them only cost time."""


def check_templates(templates: Sequence[str]) -> tuple[str, ...]:
    """The templates as a tuple, each with exactly one `{}`.

    Raises:
        TypeError: one string instead of several.
        ValueError: none given, or one without exactly one `{}`.
    """
    if isinstance(templates, str):
        raise TypeError(f"templates is a list of sentences, got one string: [{templates!r}]?")
    if not templates:
        raise ValueError('no template given: ("{}",) reads the bare names')
    for template in templates:
        if template.count("{}") != 1 or template.count("{") != 1 or template.count("}") != 1:
            raise ValueError(f"template {template!r} must hold exactly one {{}} for the name")
    return tuple(templates)
