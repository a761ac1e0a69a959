"""Numbers that a caller gives, and the ranges that they must be in."""

from __future__ import annotations

from numbers import Integral, Real


def check_part(name: str, value: object) -> None:
    """Whether a setting is a number from 0 to 1, or None.

    Args:
        name: of the setting, for the message.
        value: what was given.

    Raises:
        ValueError: it is something else.
    """
    if value is None or (_is(value, Real) and 0 <= value <= 1):  # type: ignore[operator]
        return
    raise ValueError(f"{name} is a number from 0 to 1, got {value!r}")


def check_count(name: str, value: object) -> None:
    """Whether a setting is a whole number from 1 on, or None.

    Args:
        name: of the setting, for the message.
        value: what was given.

    Raises:
        ValueError: it is something else.
    """
    if value is None or (_is(value, Integral) and value >= 1):  # type: ignore[operator]
        return
    raise ValueError(f"{name} is a whole number from 1 on, got {value!r}")


def _is(value: object, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)
