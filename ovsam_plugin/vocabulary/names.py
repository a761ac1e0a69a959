"""Class names: how they are cleaned, compared, read aloud to a text tower, and split.

Five forms of one name, all made here:

- the *name*, what a person sees and a label stores: Unicode NFC, white space collapsed;
- its *key*, by which names are compared: case, white space, `_` and `-` do not count; and where no
  name has it, its *joined key*, in which words run together (VOC's "tvmonitor");
- its *phrase*, what a text tower reads: `_` as a space, emoji by their Unicode names;
- its *parts*, the synonyms that the reference reads out of one class string.
"""

from __future__ import annotations

import unicodedata

MAX_NAME_LENGTH = 256


def clean_name(name: object, where: str = "a class name") -> str:
    """The display form of a name as someone typed it.

    Args:
        name: what was given.
        where: said in the error, for example "entry 3 of the list".

    Returns:
        The name in Unicode NFC, white space (also tabs and line breaks) collapsed to one space,
        without marks that nobody sees, such as a zero-width space.

    Raises:
        TypeError: not a string.
        ValueError: nothing in it, over 256 characters, or a control character in it.
    """
    if not isinstance(name, str):
        raise TypeError(f"{where} must be a string, got {type(name).__name__} {name!r:.60}")
    plain = name.isascii()
    seen = name if plain else unicodedata.normalize("NFC", name).translate(_UNSEEN)
    cleaned = " ".join(seen.split())
    if not cleaned:
        raise ValueError(f"{where} is empty: remove it, or give it a name")
    if len(cleaned) > MAX_NAME_LENGTH:
        raise ValueError(
            f"{where} has {len(cleaned)} characters and a name at most {MAX_NAME_LENGTH}: "
            f"{cleaned[:60]!r}... (is each class on its own line, or separated by commas?)"
        )
    if plain and cleaned.isprintable():
        return cleaned
    # Surrogates come from files decoded with errors ignored; they cannot be encoded again.
    bad = next((c for c in cleaned if unicodedata.category(c) in ("Cc", "Cs")), None)
    if bad is not None:
        raise ValueError(f"{where} holds the control character {bad!r}: {cleaned[:60]!r}")
    return cleaned


def name_key(name: str) -> str:
    """What two names share when they are the same: "Fire_Hydrant" and "fire  hydrant"."""
    seen = name if name.isascii() else unicodedata.normalize("NFKC", name).translate(_UNSEEN)
    folded = seen.casefold()
    return " ".join(folded.replace("_", " ").replace("-", " ").split())


def joined_key(name: str) -> str:
    """What is left when spaces do not count either: "pottedplant" and "Potted plant"."""
    return name_key(name).replace(" ", "")


def phrase(name: str) -> str:
    """The words a text tower reads for a name.

    Underscores become spaces, and symbols such as emoji become their Unicode names ("🐱" is "cat
    face"), since most towers have no token for them. Other scripts stay as they are.
    """
    if name.isascii():
        return " ".join(name.replace("_", " ").split()) or name
    words = []
    for character in name.replace("_", " "):
        if unicodedata.category(character) == "So":
            words.append(f" {unicodedata.name(character, '').lower()} ")
        elif character not in _JOINERS:
            words.append(character)
    return " ".join("".join(words).split()) or name


# Zero-width space, word joiner, byte-order mark and soft hyphen, which come with pasted text: with
# one of them, a name looks the same and would be another class.
_UNSEEN = dict.fromkeys(map(ord, "\u200b\u2060\ufeff\u00ad"))
# Variation selectors and the zero-width joiner only say how an emoji is drawn.
_JOINERS = frozenset("\u200d\ufe0e\ufe0f")
