"""The forms of relabelling and naming, before anything is loaded."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import fiftyone as fo

from ovsam_plugin.curation.relabeled_field import new_field_name
from ovsam_plugin.dataset import runs
from ovsam_plugin.dataset.fields import check_field
from ovsam_plugin.dataset.overwrite_request import OverwriteRequest
from ovsam_plugin.dataset.overwriting import MadeByHand
from ovsam_plugin.dataset.targets import (
    Samples,
    check_images,
    check_prompt_fields,
    fields_of,
    root_dataset,
)
from ovsam_plugin.dataset.vocabulary_request import VocabularyRequest, given, problems_of
from ovsam_plugin.dataset.vocabulary_spec import vocabulary_of


@dataclass(frozen=True, kw_only=True)
class RelabelRequest(VocabularyRequest, OverwriteRequest):
    """The values of the operator `relabel`.

    Attributes:
        field: a run's field.
        into: the new field; chosen by the vocabulary when None.
    """

    field: str = "ovsam"
    into: str | None = None
    min_confidence: float | None = None

    def target_field(self, samples: Samples) -> str | None:
        if self.into is not None:
            return self.into
        with suppress(ValueError, OSError):  # which another line of the form tells
            vocabulary = vocabulary_of(root_dataset(samples), self.vocabulary_spec())
            return new_field_name(self.field, vocabulary.name)
        return None

    def at_stake(self, samples: Samples) -> MadeByHand | None:
        found = super().at_stake(samples)
        if found is None or runs.recorded(root_dataset(samples), found.field) is not None:
            return None  # what a person made in a relabelled field stays
        return found if found.foreign else None

    def problems(self, samples: Samples) -> dict[str, str]:
        """What is wrong, by the form's field that can put it right; empty when all is well."""
        dataset = root_dataset(samples)
        checks: dict[str, Callable[[], object]] = {
            "view_target": lambda: check_images(samples),
            "field": lambda: runs.source_field(dataset, self.field),
            "into": lambda: check_field(dataset, self.into or "free"),
            self.vocabulary_input: lambda: self.check_vocabulary(samples),
            "overwrite_all": lambda: self.check_consent(samples),
        }
        return problems_of(checks)

    def arguments(self) -> dict[str, Any]:
        """Keywords of `relabel_dataset`.

        Raises:
            ValueError: something that the choices made need is left blank.
        """
        return {
            "field": self.field,
            "vocabulary": self.vocabulary_spec(),
            "into": self.into,
            "min_confidence": self.min_confidence,
            "overwrite": self.consent(),
        }


@dataclass(frozen=True, kw_only=True)
class NamingRequest(VocabularyRequest, OverwriteRequest):
    """The values of the operator `recognize`.

    Attributes:
        field: of Detections or Polylines.
        into: the new field; `<field>_named` when None.
        fill: whether instances of the field that have no name get one.
        namer, cuts: who names, where not the preset itself, and how it is shown an instance.
    """

    preset: str = "ovsam-lite"
    namer: str | None = None
    cuts: str | None = None
    field: str | None = None
    into: str | None = None
    fill: bool = False
    min_confidence: float | None = None

    def target_field(self, samples: Samples) -> str | None:
        return self.into or (f"{self.field}_named" if self.field else None)

    def fields(self, samples: Samples) -> list[str]:
        """Fields whose instances could be named."""
        return fields_of(samples, (fo.Detections, fo.Polylines))

    def problems(self, samples: Samples) -> dict[str, str]:
        """What is wrong, by the form's field that can put it right; empty when all is well."""
        dataset = root_dataset(samples)
        checks: dict[str, Callable[[], object]] = {
            "view_target": lambda: check_images(samples),
            "field": lambda: self._check_field(samples),
            "namer": self._check_namer,
            "into": lambda: check_field(dataset, self.into or "free"),
            self.vocabulary_input: lambda: self.check_vocabulary(samples),
            "overwrite_all": lambda: self.check_consent(samples),
        }
        return problems_of(checks)

    def _check_namer(self) -> None:
        if self.namer is not None or self.cuts is not None:
            from ovsam_plugin.namers import NamerSpec  # brings torch with it

            NamerSpec.of(self.namer, self.cuts)

    def _check_field(self, samples: Samples) -> None:
        field = given(self.field, "choose the field whose instances are to be named")
        check_prompt_fields(samples, {"mask_prompt_field": field})

    def arguments(self) -> dict[str, Any]:
        """Keywords of `name_instances`.

        Raises:
            ValueError: something that the choices made need is left blank.
        """
        return {
            "preset": self.preset,
            "namer": self.namer,
            "cuts": self.cuts,
            "field": given(self.field, "choose the field whose instances are to be named"),
            "into": self.into,
            "fill": self.fill,
            "vocabulary": self.vocabulary_spec(),
            "min_confidence": self.min_confidence,
            "overwrite": self.consent(),
        }
