"""The part of a form that chooses a vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from ovsam_plugin.dataset.targets import Samples, class_fields, classes_present, root_dataset
from ovsam_plugin.vocabulary.sources import load_vocabulary

_Request = TypeVar("_Request", bound="VocabularyRequest")


@dataclass(frozen=True, kw_only=True)
class VocabularyRequest:
    """The values of a form with a vocabulary in it.

    Attributes:
        vocabulary: a built-in vocabulary, or "names", "file" or "field", with `names`, `file` or
            `class_field` saying which.
    """

    vocabulary: str = "lvis"
    names: str | None = None
    file: str | None = None
    class_field: str | None = None

    @classmethod
    def from_params(cls: type[_Request], params: Mapping[str, Any]) -> _Request:
        """A request from what the form holds; fields left blank have their defaults."""
        return cls(**filled(cls, params))

    def class_fields(self, samples: Samples) -> list[str]:
        """Fields that could give the vocabulary."""
        return class_fields(root_dataset(samples))

    @property
    def vocabulary_input(self) -> str:
        """The form's field that decides the vocabulary."""
        return {"field": "class_field"}.get(self.vocabulary, self.vocabulary)

    def vocabulary_spec(self) -> str:
        """As for `vocabulary_of`.

        Raises:
            ValueError: what the choice needs is left blank.
        """
        if self.vocabulary == "names":
            names = given(self.names, "give names with commas between them")
            return names if "," in names else f"{names},"
        if self.vocabulary == "file":
            return given(self.file, "give the path of a .txt, .csv or .json file")
        if self.vocabulary == "field":
            return "dataset:" + given(self.class_field, "choose the field that holds the classes")
        return self.vocabulary

    def check_vocabulary(self, samples: Samples) -> None:
        """Whether the vocabulary can be read.

        Raises:
            ValueError: it cannot.
        """
        spec = self.vocabulary_spec()
        if self.vocabulary == "field":
            classes_present(samples, spec.removeprefix("dataset:"))
        elif self.vocabulary in ("names", "file"):
            load_vocabulary(spec)


def filled(request: Any, params: Mapping[str, Any]) -> dict[str, Any]:
    """What a form holds of the fields of a dataclass, blank ones left out."""
    known = request.__dataclass_fields__
    return {k: v for k, v in params.items() if k in known and v not in (None, "")}


def given(value: str | None, otherwise: str) -> str:
    """The value.

    Raises:
        ValueError: it is blank; the message is `otherwise`.
    """
    if not isinstance(value, str) or not value.strip():
        raise ValueError(otherwise)
    return value


def problems_of(checks: Mapping[str, Callable[[], object]]) -> dict[str, str]:
    """What is wrong, by the form's field that can put it right; empty when all is well."""
    problems = {}
    for name, check in checks.items():
        try:
            check()
        except ValueError as error:
            problems[name] = str(error)
    return problems
