"""Numbers, ids and flags as tools write them: as integers, as floats, or as text."""

from __future__ import annotations

import math
import re
from typing import TypeAlias

Id: TypeAlias = int | str

_WHOLE = re.compile(r"(0|-?[1-9][0-9]{0,17})(\.0*)?")
_FLAGS = {"": False, "0": False, "false": False, "no": False, "1": True, "true": True, "yes": True}


def printable(name: str) -> str:
    """A name with %E9 for each byte that is not UTF-8, which neither JSON nor a database takes."""
    if name.isascii():
        return name
    return "".join(f"%{ord(c) & 0xFF:02X}" if "\ud800" <= c <= "\udfff" else c for c in name)


def in_words(name: str) -> str:
    """A name for people to read: bytes that are not UTF-8 are taken for Latin-1's, as Windows has
    it, which is what old tools write."""
    if name.isascii() or not _has_halves(name):
        return name
    try:
        written = name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a character, which stands for no byte
        return name
    try:
        return written.decode("cp1252")
    except UnicodeDecodeError:
        return written.decode("latin-1")


def text(value: object) -> str | None:
    """Text as `in_words` reads it, or None for what is none, or none that a database takes."""
    found = in_words(value) if isinstance(value, str) else None
    return None if found is None or _has_halves(found) else found


def _has_halves(written: str) -> bool:
    """Whether halves of characters are in it, which stand for bytes that are no UTF-8."""
    return any("\ud800" <= c <= "\udfff" for c in written)


def number(value: object) -> float | None:
    """A finite number, or None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def whole(value: object) -> int | None:
    """A whole number, or None for what is none."""
    found = number(value)
    return None if found is None or not found.is_integer() else int(found)


def read_id(value: object) -> Id | None:
    """An id as written, 3.0 as 3; None for what can be no id."""
    if isinstance(value, str):
        return printable(value) if value.strip() else None
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return whole(value)


def id_key(value: object) -> Id | None:
    """What two spellings of one id have in common: 3, 3.0, "3" and "3.0" are one.

    Text that is not a number as a program writes it ("007", "img_3") stays text.
    """
    found = read_id(value)
    if isinstance(found, str):
        text = found.strip()
        match = _WHOLE.fullmatch(text)
        return int(match[1]) if match else text
    return found


def flag(value: object) -> bool | None:
    """Yes or no, nothing being no; None for what is neither."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return False
    if isinstance(value, str) and value.strip().lower() in _FLAGS:
        return _FLAGS[value.strip().lower()]
    found = int(value) if isinstance(value, bool) else number(value)
    return None if found not in (0, 1) else bool(found)
