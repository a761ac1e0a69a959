"""The values of a form, read and checked before anything is done with them.

Pydantic reads each value as what its field is. What can only be told with the samples in hand, as
most of a form, is a check of the request's own: `problems_of`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

from pydantic import AfterValidator, TypeAdapter, ValidationError

_Form = TypeVar("_Form", bound="Form")
_TOLD = {
    "float": "enter a number",
    "int": "enter a whole number",
    "bool": "this is either on or off",
    "string": "enter text",
}


@dataclass(frozen=True, kw_only=True)
class Form:
    """What the requests of all forms have in common.

    Attributes:
        unread: why a value could not be read, by its question; its default stands in for it.
    """

    unread: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls: type[_Form], params: Mapping[str, Any], **likely: Any) -> _Form:
        """A request from what a form holds.

        Args:
            params: values by question, of other questions too; a blank one has its default.
            **likely: defaults that depend on the dataset.
        """
        known = cls.questions()
        given = {k: v for k, v in params.items() if k in known and v not in (None, "")}
        reader: TypeAdapter[_Form] = cls._reader()
        try:
            return reader.validate_python(likely | given)
        except ValidationError as error:
            unread = {str(e["loc"][0]): _told(e["type"], e["msg"]) for e in error.errors()}
            left = {name: value for name, value in given.items() if name not in unread}
            return reader.validate_python({**likely, **left, "unread": unread})

    @classmethod
    def questions(cls) -> frozenset[str]:
        """The names of what it asks."""
        return frozenset(cls.__dataclass_fields__) - {"unread"}

    @classmethod
    @cache
    def _reader(cls) -> TypeAdapter[Any]:
        # Made once: the App reads a form at every key that is pressed in it.
        return TypeAdapter(cls)

    def problems_of(self, checks: Mapping[str, Callable[[], object]]) -> dict[str, str]:
        """What is wrong, by the question that can put it right; empty when all is well.

        Args:
            checks: by question, what raises ValueError where something is wrong with it.
        """
        problems = {}
        for name, check in checks.items():
            try:
                check()
            except ValueError as error:
                problems[name] = str(error)
        return problems | self.unread

    def check_read(self) -> None:
        """That every value could be read.

        Raises:
            ValueError: one could not; the message tells each.
        """
        if self.unread:
            raise ValueError("; ".join(f"{name}: {told}" for name, told in self.unread.items()))


def one_of(*choices: str) -> AfterValidator:
    """Of a text, that it is among these: `Annotated[str, one_of("a", "b")]`."""

    def check(value: str) -> str:
        if value not in choices:
            raise ValueError(f"{value!r:.80} is not a choice: choose one of {', '.join(choices)}")
        return value

    return AfterValidator(check)


def _told(kind: str, message: str) -> str:
    return _TOLD.get(kind.split("_")[0], message.removeprefix("Value error, "))
