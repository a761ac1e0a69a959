"""A filled-in form, before any model is loaded: what is wrong with it, and what it asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ovsam_plugin.dataset.fields import check_field
from ovsam_plugin.dataset.prompt_fields import KEYS
from ovsam_plugin.dataset.targets import (
    Samples,
    check_images,
    check_prompt_fields,
    class_fields,
    classes_present,
    fields_of,
    root_dataset,
)
from ovsam_plugin.vocabulary.sources import load_vocabulary


@dataclass(frozen=True)
class LabelRequest:
    """The values of the operator `label`, with the form's own defaults.

    Attributes:
        weights: a .safetensors file in place of the preset's own.
        vocabulary: a built-in vocabulary, or "names", "file" or "field", with `names`, `file` or
            `class_field` saying which.
        prompts: "everything", "box", "point", "mask" or "find", with `prompt_field` or `find`.
    """

    preset: str = "ovsam-lite"
    weights: str | None = None
    vocabulary: str = "lvis"
    names: str | None = None
    file: str | None = None
    class_field: str | None = None
    prompts: str = "everything"
    prompt_field: str | None = None
    refine_masks: bool = False
    find: str | None = None
    field: str = "ovsam"
    min_confidence: float | None = None
    overwrite: bool = False

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> LabelRequest:
        """A request from what the form holds; fields left blank have their defaults."""
        known = cls.__dataclass_fields__
        return cls(**{k: v for k, v in params.items() if k in known and v not in (None, "")})

    def class_fields(self, samples: Samples) -> list[str]:
        """Fields that could give the vocabulary."""
        return class_fields(root_dataset(samples))

    def prompt_field_choices(self, samples: Samples) -> list[str]:
        """Fields that could ask."""
        return fields_of(samples, KEYS[f"{self.prompts}_prompt_field"])

    def problems(self, samples: Samples) -> dict[str, str]:
        """What is wrong, by the form's field that can put it right; empty when all is well."""
        checks: dict[str, Callable[[], object]] = {
            "view_target": lambda: check_images(samples),
            "field": lambda: check_field(root_dataset(samples), self.field),
            "weights": self._check_weights,
            self._vocabulary_input: lambda: self._check_vocabulary(samples),
            "find" if self.prompts == "find" else "prompt_field": lambda: self._check_asks(samples),
        }
        problems = {}
        for name, check in checks.items():
            try:
                check()
            except ValueError as error:
                problems[name] = str(error)
        return problems

    def _check_weights(self) -> None:
        if self.weights is not None and not Path(self.weights).expanduser().is_file():
            raise ValueError(f"there is no file {self.weights}")

    def arguments(self) -> dict[str, Any]:
        """Keywords of `label_dataset`.

        Raises:
            ValueError: something that the choices made need is left blank.
        """
        arguments: dict[str, Any] = {
            "preset": self.preset,
            "weights": self.weights,
            "vocabulary": self._vocabulary_spec(),
            "field": self.field,
            "min_confidence": self.min_confidence,
            "overwrite": self.overwrite,
        }
        if self.prompts == "find":
            arguments["find"] = _given(self.find, "give the words to look for")
        elif self.prompts != "everything":
            asks = _given(self.prompt_field, "choose the field that asks")
            arguments[f"{self.prompts}_field"] = asks
        if self.prompts == "mask":
            arguments["refine_masks"] = self.refine_masks
        return arguments

    @property
    def _vocabulary_input(self) -> str:
        return {"field": "class_field"}.get(self.vocabulary, self.vocabulary)

    def _vocabulary_spec(self) -> str:
        if self.vocabulary == "names":
            return _given(self.names, "give names with commas between them")
        if self.vocabulary == "file":
            return _given(self.file, "give the path of a .txt, .csv or .json file")
        if self.vocabulary == "field":
            return "dataset:" + _given(self.class_field, "choose the field that holds the classes")
        return self.vocabulary

    def _check_vocabulary(self, samples: Samples) -> None:
        spec = self._vocabulary_spec()
        if self.vocabulary == "field":
            classes_present(samples, spec.removeprefix("dataset:"))
        elif self.vocabulary in ("names", "file"):
            load_vocabulary(spec)

    def _check_asks(self, samples: Samples) -> None:
        if self.prompts == "find":
            _given(self.find, "give the words to look for")
        elif self.prompts != "everything":
            asks = _given(self.prompt_field, "choose the field that asks")
            check_prompt_fields(samples, {f"{self.prompts}_prompt_field": asks})


def _given(value: str | None, otherwise: str) -> str:
    if value is None or not value.strip():
        raise ValueError(otherwise)
    return value
