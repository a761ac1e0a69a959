"""A filled-in form, before any model is loaded: what is wrong with it, and what it asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ovsam_plugin.dataset.fields import check_field
from ovsam_plugin.dataset.overwrite_request import OverwriteRequest
from ovsam_plugin.dataset.prompt_fields import KEYS
from ovsam_plugin.dataset.targets import (
    Samples,
    check_images,
    check_prompt_fields,
    fields_of,
    root_dataset,
)
from ovsam_plugin.dataset.vocabulary_request import VocabularyRequest, given, problems_of
from ovsam_plugin.tiles import check_tiles


@dataclass(frozen=True, kw_only=True)
class LabelRequest(VocabularyRequest, OverwriteRequest):
    """The values of the operator `label`, with the form's own defaults.

    Attributes:
        weights: a .safetensors file in place of the preset's own.
        prompts: "everything", "box", "point", "mask" or "find", with `prompt_field` or `find`.
    """

    preset: str = "ovsam-lite"
    weights: str | None = None
    prompts: str = "everything"
    prompt_field: str | None = None
    refine_masks: bool = False
    find: str | None = None
    field: str = "ovsam"
    min_confidence: float | None = None
    min_objectness: float | None = None
    all_candidates: bool = False
    tiles: str = "auto"

    def target_field(self, samples: Samples) -> str | None:
        return self.field

    def prompt_field_choices(self, samples: Samples) -> list[str]:
        """Fields that could ask."""
        return fields_of(samples, KEYS[f"{self.prompts}_prompt_field"])

    def problems(self, samples: Samples) -> dict[str, str]:
        """What is wrong, by the form's field that can put it right; empty when all is well."""
        checks: dict[str, Callable[[], object]] = {
            "view_target": lambda: check_images(samples),
            "field": lambda: check_field(root_dataset(samples), self.field),
            "weights": self._check_weights,
            self.vocabulary_input: lambda: self.check_vocabulary(samples),
            "find" if self.prompts == "find" else "prompt_field": lambda: self._check_asks(samples),
            "tiles": lambda: check_tiles(self.tiles),
            "overwrite_all": lambda: self.check_consent(samples),
        }
        return problems_of(checks)

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
            "vocabulary": self.vocabulary_spec(),
            "field": self.field,
            "min_confidence": self.min_confidence,
            "min_objectness": self.min_objectness,
            "all_candidates": self.all_candidates,
            "tiles": self.tiles,
            "overwrite": self.consent(),
        }
        if self.prompts == "find":
            arguments["find"] = given(self.find, "give the words to look for")
        elif self.prompts != "everything":
            asks = given(self.prompt_field, "choose the field that asks")
            arguments[f"{self.prompts}_field"] = asks
        if self.prompts == "mask":
            arguments["refine_masks"] = self.refine_masks
        return arguments

    def _check_asks(self, samples: Samples) -> None:
        if self.prompts == "find":
            given(self.find, "give the words to look for")
        elif self.prompts != "everything":
            asks = given(self.prompt_field, "choose the field that asks")
            check_prompt_fields(samples, {f"{self.prompts}_prompt_field": asks})
