"""How many there are of something, as a person is told it."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """A number with its noun, such as "1 label" or "1,200 labels".

    Args:
        count: how many.
        noun: what of, one of it; its plural takes an s.
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
