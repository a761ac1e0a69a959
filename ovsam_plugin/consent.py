"""What only the caller may allow, in a message that each surface spells with its own options."""

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
        problem: what is in the way.
        instead: what to do without consent, such as "use another field".
        setting: what gives consent.
    """

    def __init__(self, problem: str, instead: str, setting: Setting) -> None:
        super().__init__(problem, instead, setting)
        self.problem, self.instead, self.setting = problem, instead, setting

    def __str__(self) -> str:
        return self.spelled(lambda setting: f"pass {setting}")

    def spelled(self, spell: Callable[[Setting], str | None]) -> str:
        """The message for somebody who gives consent otherwise than in Python.

        Args:
            spell: what they do for a setting, such as "use --overwrite"; None if they cannot.
        """
        how = spell(self.setting)
        return f"{self.problem}: {self.instead}" + ("" if how is None else f", or {how}")


OVERWRITE = Setting("overwrite")
OVERWRITE_ALL = Setting("overwrite", "all")
