"""Names, paths and errors in Markdown: shown as they are, whatever they hold.

FiftyOne's App reads the labels, descriptions and captions of its forms, notices and errors as
Markdown, too. It shows tags as text, but a name could be a link that says something else than where
it leads, or a picture that is fetched from anywhere.
"""

from __future__ import annotations

import re

# Underscores inside a word, as field names have them, mean nothing.
_ACTIVE = re.compile(r"[\\`*\[\]<>|~]|(?<![^\W_])_|_(?![^\W_])|&(?=#|\w+;)")
# A dash alone, as tables have it where there is no number, would be an empty list at worst.
_AT_FRONT = re.compile(
    r"^(?:(?=-\s|\+(?:\s|$)|#{1,6}(?:\s|$)|--|=)|(?P<number>\d{1,9})(?=[.)](?:\s|$)))"
)


class Markdown(str):
    """Text that is Markdown already."""

    __slots__ = ()


def plain(text: object) -> Markdown:
    """Text as Markdown that reads like it, in one line; what is Markdown already stays."""
    if isinstance(text, Markdown):
        return text
    line = _ACTIVE.sub(r"\\\g<0>", " ".join(str(text).split()))
    return Markdown(_AT_FRONT.sub(lambda found: f"{found['number'] or ''}\\", line))
