"""A filled-in form, before any model is loaded: what is wrong with it, and what it asks for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ovsam_plugin.dataset.fields import check_field
from ovsam_plugin.dataset.handles import as_stored
from ovsam_plugin.dataset.internals import aggregate, dataset_id, stages_of
from ovsam_plugin.dataset.overwrite_request import OverwriteRequest
from ovsam_plugin.dataset.prompt_kinds import PROMPT_KINDS, PromptKind
from ovsam_plugin.dataset.target_field import FIRST, Conflict, conflict, free_field, resumed
from ovsam_plugin.dataset.targets import (
    Samples,
    check_prompt_fields,
    check_shown,
    fields_of,
    root_dataset,
    with_all_fields,
)
from ovsam_plugin.dataset.tried_photographs import as_they_are, tried_photographs
from ovsam_plugin.dataset.unanswered_prompts import to_be_labelled
from ovsam_plugin.dataset.vocabulary_request import VocabularyRequest, given
from ovsam_plugin.dataset.vocabulary_spec import vocabulary_of
from ovsam_plugin.dataset.workers import FIELDS_AND_RUNS, Worker
from ovsam_plugin.dataset.zoo_source import MODELS, SAM_MODELS
from ovsam_plugin.images.tiles import check_tiles
from ovsam_plugin.recognition.calibration import Calibration
from ovsam_plugin.vocabulary.vocabulary import Vocabulary

_OFFERED = {**MODELS, **SAM_MODELS}
_WORDS = "enter the words to look for"
_CHOOSE = "choose the prompt field"


@dataclass(frozen=True, kw_only=True)
class LabelRequest(VocabularyRequest, OverwriteRequest):
    """The values of the operator `label`, with the form's own defaults.

    Attributes:
        weights: a .safetensors file in place of the preset's own.
        prompts: "everything"; "find", with `find`; or one of `PROMPT_KINDS`, with `prompt_field`.
        field: where labels go; None for that of a run of the same settings, else a new one.
        min_objectness, min_confidence: at the sliders' starts they are as good as not given.
        strict_class, strict_confidence: a class that the preview found, and its minimum confidence.
    """

    preset: str = "ovsam-lite"
    weights: str | None = None
    prompts: str = "everything"
    prompt_field: str | None = None
    refine_masks: bool = False
    find: str | None = None
    field: str | None = None
    min_confidence: float | None = None
    min_objectness: float | None = None
    strict_class: str | None = None
    strict_confidence: float = 0.0
    all_candidates: bool = False
    tiles: str = "auto"

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> LabelRequest:
        request = cls.read(params)
        if params.get("min_objectness") in (None, ""):
            slider = params.get(request.objectness_input)
            request = cls.read({**params, "min_objectness": slider})
        start = request.objectness_start
        return replace(
            request,
            min_objectness=None if request.min_objectness == start else request.min_objectness,
            min_confidence=request.min_confidence or None,
            # It is asked for beside the preview, and would else hold where nobody sees it.
            strict_class=request.strict_class if params.get("preview") else None,
        )

    @property
    def kind(self) -> PromptKind | None:
        """How a field asks; None where none does."""
        return PROMPT_KINDS.get(self.prompts)

    @property
    def objectness_start(self) -> float:
        """Where the slider of the minimum objectness stands when nobody moves it."""
        if self.kind is not None or self.all_candidates:
            return 0.0
        return _OFFERED[self.preset].min_objectness if self.preset in _OFFERED else 0.0

    @property
    def objectness_input(self) -> str:
        """The form's slider of it: one for each start, so that it moves with the model."""
        return f"min_objectness_{round(100 * self.objectness_start)}"

    @property
    def prompt_fields(self) -> dict[str, str]:
        """Field names by keywords of `apply_model`; empty for everything."""
        kind = self.kind
        return {} if kind is None else {kind.key: given(self.prompt_field, _CHOOSE)}

    def calibration(self, samples: Samples) -> Calibration | None:
        """The minimum confidence of one class; None where none is asked for.

        Raises:
            ValueError: something that the choice of names needs is left blank.
        """
        if self.strict_class is None or not self.strict_confidence:
            return None
        vocabulary = self._vocabulary(samples)
        if self.strict_class not in vocabulary.names:
            return None
        thresholds = {self.strict_class: self.strict_confidence}
        return Calibration(thresholds=thresholds, vocabulary=vocabulary.hash)

    def target_field(self, samples: Samples) -> str:
        if self.field is not None:
            return self.field
        dataset = root_dataset(samples)
        if self.overwrite and dataset.get_field(FIRST) is not None:
            return FIRST
        settings: dict[str, Any] = {}
        with suppress(ValueError, OSError):  # which another line of the form tells
            settings = self.settings(samples)
        again = resumed(samples, settings) if settings else None
        return again or free_field(dataset, self._vocabulary_name(samples))

    def settled(self, samples: Samples) -> LabelRequest:
        """The same with its `target_field`, once no other call is half done with making a field,
        whose run is not there yet: another one of the same settings goes on with it."""
        dataset = root_dataset(samples)
        with Worker(dataset, FIRST) as worker, worker.lease(FIELDS_AND_RUNS):
            as_stored(dataset)
            return replace(self, field=self.target_field(samples))

    def settings(self, samples: Samples) -> dict[str, Any]:
        """Those of `runs.Settings` that are known before a model is loaded.

        Raises:
            ValueError: something that the choices made need is left blank, or wrong.
        """
        calibration = self.calibration(samples)
        return {
            "preset": self.preset,
            "vocabulary_hash": self._vocabulary(samples).hash,
            "prompt_fields": self.prompt_fields,
            "find": self.find if self.prompts == "find" else None,
            "min_confidence": self.min_confidence,
            "min_objectness": self.min_objectness,
            "all_candidates": self.all_candidates and not self.prompt_fields,
            "tiles": check_tiles(self.tiles),
            "refine_masks": self._refines,
            "calibration": None if calibration is None else calibration.to_json(),
            "adapter": None,
        }

    def left(self, samples: Samples) -> int:
        """How many of the samples are to be labelled, the others having their labels."""
        field = self.target_field(samples)
        if self.overwrite or root_dataset(samples).get_field(field) is None:
            return int(samples.count())
        asked: list[dict[str, Any]] = [{"$match": to_be_labelled(field)}, {"$count": "samples"}]
        found = next(aggregate(with_all_fields(samples), asked), {"samples": 0})
        return int(found["samples"])

    def prompt_field_choices(self, samples: Samples) -> list[str]:
        """Fields that could ask."""
        return [] if self.kind is None else fields_of(samples, self.kind.labels)

    def problems(self, samples: Samples) -> dict[str, str]:
        """What is wrong, by the form's field that can put it right; empty when all is well."""
        checks: dict[str, Callable[[], object]] = {
            "view_target": lambda: self._check_samples(samples),
            "preset": self._check_preset,
            "field": lambda: self._check_field(samples),
            "weights": self._check_weights,
            self.vocabulary_input: lambda: self.check_vocabulary(samples),
            "find" if self.prompts == "find" else "prompt_field": lambda: self._check_asks(samples),
            "tiles": lambda: check_tiles(self.tiles),
            "overwrite_all": lambda: self.check_consent(samples),
        }
        return self.problems_of(checks)

    def arguments(self, samples: Samples) -> dict[str, Any]:
        """Keywords of `label_dataset`.

        Raises:
            ValueError: something that the choices made need is left blank.
        """
        self.check_read()
        kind = self.kind
        fields = {} if kind is None else {kind.keyword: self.prompt_fields[kind.key]}
        return {
            **self._model_arguments(),
            **fields,
            "vocabulary": self.vocabulary_spec(),
            "label_field": self.target_field(samples),
            "min_confidence": self.min_confidence,
            "min_objectness": self.min_objectness,
            "calibration": self.calibration(samples),
            "overwrite": self.consent(),
        }

    def model_arguments(self, samples: Samples) -> dict[str, Any]:
        """Keywords of `build_model` for a preview, whose limits are set later.

        Raises:
            ValueError: something that the choices made need is left blank.
        """
        return {**self._model_arguments(), "vocabulary": self._vocabulary(samples)}

    def preview_keys(self, samples: Samples) -> tuple[str, str]:
        """What tells the previews of two forms apart, with names and without.

        Raises:
            ValueError: something that the choices made need is left blank.
        """
        dataset = root_dataset(samples)
        looked: list[Any] = [str(dataset_id(dataset)), stages_of(samples), self.prompt_fields]
        looked.append(as_they_are(tried_photographs(samples, self.prompt_fields)))
        looked += [self.preset, self.weights, self.tiles, self.refine_masks, self.all_candidates]
        named = [*looked, self._vocabulary(samples).hash, self.find]
        return _digest(named), _digest(looked)

    def _vocabulary(self, samples: Samples) -> Vocabulary:
        return vocabulary_of(root_dataset(samples), self.vocabulary_spec())

    def _model_arguments(self) -> dict[str, Any]:
        find = given(self.find, _WORDS) if self.prompts == "find" else None
        return {
            "preset": self.preset,
            "weights": self.weights,
            "all_candidates": self.all_candidates,
            "tiles": self.tiles,
            "find": find,
            "refine_masks": self._refines,
        }

    @property
    def _refines(self) -> bool:
        return self.kind is not None and self.kind.refinable and self.refine_masks

    def _vocabulary_name(self, samples: Samples) -> str:
        with suppress(ValueError, OSError):
            return self._vocabulary(samples).name
        return ""

    def _check_samples(self, samples: Samples) -> None:
        check_shown(samples)
        if not samples.count():
            raise ValueError("there are no photographs here: clear the filters, or add some")

    def _check_preset(self) -> None:
        if self.preset not in _OFFERED:
            raise ValueError(
                f"there is no model {self.preset!r}: choose one of {', '.join(_OFFERED)}"
            )
        if not _OFFERED[self.preset].fetched or self.weights is not None:
            return
        # Here, since they bring torch.
        from ovsam_plugin.checkpoints.store import may_fetch
        from ovsam_plugin.presets import get_preset

        if not may_fetch(get_preset(self.preset)):
            raise ValueError(
                f"its weights have their own licence, which nobody has accepted on this machine: "
                f"run `ovsam weights fetch {self.preset}`, which shows it"
            )

    def _check_field(self, samples: Samples) -> None:
        field = self.target_field(samples)
        dataset = root_dataset(samples)
        free = free_field(dataset, self._vocabulary_name(samples))
        try:
            check_field(dataset, field)
        except ValueError as error:
            raise ValueError(f"{error}; {free!r} is free") from None
        if field in self._asking():
            raise ValueError(
                f"{field!r} holds the prompts: labels must go to another field; {free!r} is free"
            )
        found = self._conflict(samples, field)
        if found is not None:
            raise ValueError(found.told(free, overwrite=bool(self.overwrite)))

    def _conflict(self, samples: Samples, field: str) -> Conflict | None:
        with suppress(ValueError, OSError):  # which another line of the form tells
            settings = self.settings(samples)
            return conflict(samples, field, settings, overwrite=bool(self.overwrite))
        return None

    def _asking(self) -> list[str]:
        with suppress(ValueError):
            return list(self.prompt_fields.values())
        return []

    def _check_weights(self) -> None:
        if self.preset in SAM_MODELS and self.weights is None:
            raise ValueError(
                "this model draws its masks with a segment_anything checkpoint: enter its path on "
                "the server, such as /models/sam_vit_b_01ec64.pth"
            )
        if self.weights is not None and not Path(self.weights).expanduser().is_file():
            raise ValueError(f"there is no file {self.weights}")

    def _check_asks(self, samples: Samples) -> None:
        if self.prompts == "find":
            given(self.find, _WORDS)
        elif self.kind is not None:
            if not self.prompt_field_choices(samples):
                raise ValueError(self.kind.lacking)
            check_prompt_fields(samples, self.prompt_fields)
        elif self.prompts != "everything":
            known = ", ".join(("everything", "find", *PROMPT_KINDS))
            raise ValueError(f"{self.prompts!r} cannot be labelled: choose one of {known}")


def _digest(asked: list[Any]) -> str:
    return hashlib.sha256(repr(asked).encode()).hexdigest()
