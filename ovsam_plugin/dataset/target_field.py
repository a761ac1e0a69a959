"""Which field a run writes to, and what stands in its way: told before any model is loaded."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

import fiftyone as fo

from ovsam_plugin.dataset import runs
from ovsam_plugin.dataset.fields import check_field
from ovsam_plugin.dataset.overwrite_request import REPLACE
from ovsam_plugin.dataset.targets import Samples, all_images, root_dataset, with_all_fields

FIRST = "ovsam"
"""The field of a dataset's first run."""

_IN_WORDS = {
    "preset": "model",
    "weights": "weights",
    "vocabulary": "names",
    "vocabulary_hash": "names",
    "prompt_fields": "kind or field of prompts",
    "find": "words",
    "min_confidence": "minimum confidence",
    "min_objectness": "minimum objectness",
    "all_candidates": "choice of keeping every candidate",
    "tiles": "tiles",
    "refine_masks": "choice of redrawing masks",
    "calibration": "calibration or minimum confidence of a class",
    "adapter": "learned names",
}


@dataclass(frozen=True)
class Conflict:
    """Why a run may not write to a field as it is.

    Attributes:
        field: the field.
        filled: samples with labels there.
        made_by: in words, who made them.
        outside: of those samples, how many the run does not label.
    """

    field: str
    filled: int
    made_by: str
    outside: int = 0

    def told(self, free: str, *, overwrite: bool) -> str:
        """What a form says of it.

        Args:
            free: a field that is free.
            overwrite: whether replacing is chosen already.
        """
        what = f"{self.field!r} holds labels of {self.filled:,} photographs, made {self.made_by}"
        where = f"choose another field ({free!r} is free)"
        if overwrite:
            return f"{what}, {self.outside:,} of them outside what is labelled here: {where}"
        return f'{what}: {where}, or tick "{REPLACE}"'


def conflict(
    samples: Samples, field: str, settings: Mapping[str, Any], *, overwrite: bool
) -> Conflict | None:
    """What stands in the way of labelling into a field; None where nothing does.

    Args:
        samples: that are to be labelled.
        field: of Detections, or not there yet.
        settings: those of `runs.Settings` that are known, by name.
        overwrite: whether labels that are there may be replaced.
    """
    dataset = root_dataset(samples)
    if dataset.get_field(field) is None:
        return None
    recorded = runs.recorded_settings(dataset, field)
    changed = [] if recorded is None else _changed(recorded, settings)
    if recorded is not None and not changed:
        return None
    filled = len(all_images(dataset).exists(field))
    if not filled:
        return None
    made_by = (
        f"with other settings ({_listed(changed)})"
        if recorded
        else "by something other than this plugin"
    )
    outside = filled - len(with_all_fields(samples).exists(field))
    if overwrite and not outside:
        return None
    return Conflict(field, filled, made_by, outside)


def resumed(samples: Samples, settings: Mapping[str, Any]) -> str | None:
    """The field of a run of these settings, which another call goes on with; None if none is."""
    dataset = root_dataset(samples)
    for field in runs.fields(dataset):
        recorded = runs.recorded_settings(dataset, field)
        there = dataset.get_field(field) is not None
        if there and recorded is not None and not _changed(recorded, settings):
            return field
    return None


def free_field(dataset: fo.Dataset, vocabulary: str) -> str:
    """A name that no field has: "ovsam", else with the vocabulary's name or a number.

    Args:
        dataset: the dataset.
        vocabulary: the vocabulary's name.
    """
    return next(name for name in _names(vocabulary) if _is_free(dataset, name))


def _names(vocabulary: str) -> Iterator[str]:
    yield FIRST
    slug = re.sub(r"\W+", "_", vocabulary.rpartition(".")[0] or vocabulary).strip("_").lower()
    if slug.isascii() and slug not in ("", "custom"):
        yield f"{FIRST}_{slug}"
    yield from (f"{FIRST}_{number}" for number in count(2))


def _is_free(dataset: fo.Dataset, name: str) -> bool:
    try:
        check_field(dataset, name)
    except ValueError:
        return False
    return dataset.get_field(name) is None and not dataset.has_run(name)


def _changed(recorded: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    names = [name for name, value in settings.items() if recorded.get(name) != value]
    return list(dict.fromkeys(_IN_WORDS.get(name, name) for name in names))


def _listed(words: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
