"""The forms of relabelling and naming, before anything is loaded."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Any

import fiftyone as fo

from ovsam_plugin.curation.relabeled_field import new_field_name
from ovsam_plugin.curation.run_fields import run_fields
from ovsam_plugin.dataset import runs
from ovsam_plugin.dataset.fields import check_field
from ovsam_plugin.dataset.overwrite_request import REPLACE, OverwriteRequest
from ovsam_plugin.dataset.overwriting import MadeByHand
from ovsam_plugin.dataset.target_field import conflict
from ovsam_plugin.dataset.targets import (
    Samples,
    check_prompt_fields,
    check_shown,
    fields_of,
    root_dataset,
)
from ovsam_plugin.dataset.vocabulary_request import VocabularyRequest, given
from ovsam_plugin.dataset.vocabulary_spec import vocabulary_of
from ovsam_plugin.import_lock import IMPORTS


@dataclass(frozen=True, kw_only=True)
class RelabelRequest(VocabularyRequest, OverwriteRequest):
    """The values of the operator `relabel`.

    Attributes:
        field: a run's field; None for the first one.
        into: the new field; chosen by the vocabulary when None.
    """

    field: str | None = None
    into: str | None = None
    min_confidence: float | None = None

    def run(self, samples: Samples) -> str:
        """The field of the run whose instances are named anew; "" where there is none."""
        dataset, fields = root_dataset(samples), run_fields(samples)
        # A labelling before what was named anew from one.
        fields.sort(key=lambda name: runs.origin(dataset, name) != name)
        return self.field or next(iter(fields), "")

    def target_field(self, samples: Samples) -> str | None:
        if self.into is not None:
            return self.into
        with suppress(ValueError, OSError):  # which another line of the form tells
            vocabulary = vocabulary_of(root_dataset(samples), self.vocabulary_spec())
            return new_field_name(self.run(samples), vocabulary.name)
        return None

    def at_stake(self, samples: Samples) -> MadeByHand | None:
        found = super().at_stake(samples)
        if found is None or runs.recorded(root_dataset(samples), found.field) is not None:
            return None  # what a person made in a relabelled field stays
        return found if found.foreign else None

    def problems(self, samples: Samples) -> dict[str, str]:
        """What is wrong, by the form's field that can put it right; empty when all is well."""
        checks: dict[str, Callable[[], object]] = {
            "view_target": lambda: check_shown(samples),
            "field": lambda: self._check_run(samples),
            "into": lambda: self._check_into(samples),
            self.vocabulary_input: lambda: self.check_vocabulary(samples),
            "overwrite_all": lambda: self.check_consent(samples),
        }
        return self.problems_of(checks)

    def _check_run(self, samples: Samples) -> None:
        if not self.run(samples):
            raise ValueError("no labelling run yet: label the photographs first")
        runs.source_field(root_dataset(samples), self.run(samples))

    def _check_into(self, samples: Samples) -> None:
        into, dataset = self.target_field(samples), root_dataset(samples)
        if into is None:
            return
        check_field(dataset, into)
        recorded = runs.recorded(dataset, into)
        if dataset.get_field(into) is None:
            return
        if into == self.run(samples) or (recorded is not None and "source" not in recorded):
            raise ValueError(
                f"{into!r} is a labelling run itself: the new names need a field of their own, "
                f"such as {_next_free(dataset, into)!r}"
            )
        stopped = recorded is not None and runs.last_started(dataset, into) is None
        if not self.overwrite and not stopped:
            raise ValueError(
                f"{into!r} already exists: choose another field ({_next_free(dataset, into)!r} is "
                f'free), or tick "{REPLACE}"'
            )

    def arguments(self, samples: Samples) -> dict[str, Any]:
        """Keywords of `relabel_dataset`.

        Raises:
            ValueError: something that the choices made need is left blank.
        """
        self.check_read()
        return {
            "pred_field": self.run(samples),
            "vocabulary": self.vocabulary_spec(),
            "label_field": self.into,
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
        checks: dict[str, Callable[[], object]] = {
            "view_target": lambda: check_shown(samples),
            "field": lambda: self._check_field(samples),
            "namer": self._check_namer,
            "into": lambda: self._check_into(samples),
            self.vocabulary_input: lambda: self.check_vocabulary(samples),
            "overwrite_all": lambda: self.check_consent(samples),
        }
        return self.problems_of(checks)

    def _check_namer(self) -> None:
        if self.namer is not None or self.cuts is not None:
            with IMPORTS:
                from ovsam_plugin.namers import NamerSpec  # brings torch with it

            NamerSpec.of(self.namer, self.cuts)

    def _check_field(self, samples: Samples) -> None:
        if not self.fields(samples):
            raise ValueError(
                "no field holds instances: draw boxes or masks in the Annotate tab of a "
                "photograph, or import them"
            )
        field = given(self.field, "choose the field whose instances are to be named")
        check_prompt_fields(samples, {"mask_prompt_field": field})

    def _check_into(self, samples: Samples) -> None:
        into, dataset = self.target_field(samples), root_dataset(samples)
        if into is None:
            return
        check_field(dataset, into)
        found = None
        with suppress(ValueError, OSError):  # which another line of the form tells
            vocabulary = vocabulary_of(dataset, self.vocabulary_spec())
            settings = {
                "preset": self.preset,
                "vocabulary_hash": vocabulary.hash,
                "prompt_fields": {"mask_prompt_field": self.field},
                "min_confidence": self.min_confidence,
            }
            found = conflict(samples, into, settings, overwrite=bool(self.overwrite))
        if found is not None:
            free = _next_free(dataset, into)
            raise ValueError(found.told(free, overwrite=bool(self.overwrite)))

    def arguments(self) -> dict[str, Any]:
        """Keywords of `name_instances`.

        Raises:
            ValueError: something that the choices made need is left blank.
        """
        self.check_read()
        return {
            "preset": self.preset,
            "namer": self.namer,
            "cuts": self.cuts,
            "pred_field": given(self.field, "choose the field whose instances are to be named"),
            "label_field": self.into,
            "fill": self.fill,
            "vocabulary": self.vocabulary_spec(),
            "min_confidence": self.min_confidence,
            "overwrite": self.consent(),
        }


def _next_free(dataset: fo.Dataset, name: str) -> str:
    """The name with the first number behind it that no field has."""
    return next(n for i in count(2) if dataset.get_field(n := f"{name}_{i}") is None)
