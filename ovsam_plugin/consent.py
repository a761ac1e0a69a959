"""What only the caller may allow, in a message that a command spells with its own options."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Setting:
    """A keyword of the library and its value, as part of a message.

    Attributes:
        name: the keyword.
        value: what it is to be.
    """

    name: str
    value: bool | str = True

    def __str__(self) -> str:
        shown = json.dumps(self.value) if isinstance(self.value, str) else self.value
        return f"{self.name}={shown}"


class ConsentError(ValueError):
    """Something is not done unless the caller says that it may be.

    Args:
        *parts: of the message; its settings stand for themselves.
    """

    def __init__(self, *parts: str | Setting) -> None:
        super().__init__(*parts)
        self.parts = parts

    def __str__(self) -> str:
        return self.spelled(str)

    def spelled(self, spell: Callable[[Setting], str]) -> str:
        """The message with each of its settings as somebody else calls it."""
        return "".join(spell(p) if isinstance(p, Setting) else p for p in self.parts)


OVERWRITE = Setting("overwrite")
OVERWRITE_ALL = Setting("overwrite", "all")
