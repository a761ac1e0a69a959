"""Where a label is from: what files say of it beside its class and its mask.

One writer and one reader, of results lists and of annotation files alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, TypeAlias

import fiftyone as fo

from ovsam_plugin.annotations.values import number, text
from ovsam_plugin.dataset.fields import ATTRIBUTES as LABEL_ATTRIBUTES
from ovsam_plugin.dataset.fields import Attribute
from ovsam_plugin.dataset.runs import recorded
from ovsam_plugin.dataset.targets import Samples, root_dataset

Facts: TypeAlias = dict[str, str]

KEY = "provenance"
"""The extra key of a row or annotation, and the attribute of a label that was read from one."""

DECISION = (
    Attribute("review", fo.StringField, "accepted, renamed or rejected; none while undecided"),
    Attribute("reviewed_by", fo.StringField, "who decided"),
    Attribute("reviewed_at", fo.DateTimeField, "when it was decided, UTC"),
    Attribute("predicted_label", fo.StringField, "the model's name, where a person gave another"),
)
SCORES = (
    "objectness",
    "confidence",
    "similarity",
    "head_score",
    "clip_score",
    "margin",
    "stability",
)
_BEST: dict[str, Callable[[object], str | float | None]] = {
    "top_labels": text,
    "top_scores": number,
}
ATTRIBUTES = (
    Attribute(KEY, fo.DictField, "what made this label, as the file said that it was read from"),
    *DECISION,
    *(a for a in LABEL_ATTRIBUTES if a.name in (*SCORES, *_BEST)),
)
"""Of a label, what a file may tell of it."""

# By the keys of files, as runs record them.
_RUN = {
    "model": "preset",
    "weights_sha256": "weights",
    "namer": "namer",
    "namer_sha256": "namer_hash",
    "vocabulary": "vocabulary",
    "vocabulary_sha256": "vocabulary_hash",
    "adapter_sha256": "adapter",
}
_PROMPT = ("prompt_type", "prompt_id")
_DECISION = tuple(attribute.name for attribute in DECISION)
_KNOWN = (*_RUN, "labelled_at", *_PROMPT, *_DECISION)
_REVIEWS = ("accepted", "renamed", "rejected")
_LONGEST = 1000  # characters
_MOST = 100  # of the best names of a label


@dataclass(frozen=True)
class Provenance:
    """What is to be told of the labels of a field.

    Attributes:
        run: of those that a run made: its model, the sha256 of its weights, its vocabulary and the
            sha256 of its classes, who named, and when the run began.
    """

    run: Facts = field(default_factory=dict)

    @classmethod
    def of(cls, samples: Samples, name: str) -> Provenance:
        """Of a field's labels, by the run that is recorded for it, if there is one."""
        dataset = root_dataset(samples)
        settings = recorded(dataset, name)
        if settings is None:
            return cls()
        facts = {key: str(settings[of]) for key, of in _RUN.items() if settings.get(of) is not None}
        began = dataset.get_run_info(name).timestamp
        return cls({**facts, "labelled_at": _written(began)} if began is not None else facts)

    def facts(self, label: fo.Detection) -> Facts:
        """Of one label: the run's, who asked for it, and who decided about it and when.

        A label that no run made says what the file said that it was read from.
        """
        own = {name: label.get_attribute_value(name, None) for name in (*_PROMPT, *_DECISION)}
        made = self.run if own["prompt_type"] is not None else {}
        before: Mapping[str, str] = label.get_attribute_value(KEY, None) or {}
        told = {name: _written(value) for name, value in own.items() if value is not None}
        found = {**(made or before), **told}
        return {key: found[key] for key in _KNOWN if key in found}


def scores_of(label: fo.Detection) -> dict[str, float]:
    """Of `SCORES`, those that a label has, as an annotation has them: its confidence is `score`,
    as other tools have it."""
    values = {name: label.get_attribute_value(name, None) for name in SCORES}
    return {
        "score" if name == "confidence" else name: float(value)
        for name, value in values.items()
        if value is not None and math.isfinite(value)
    }


def attributes_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of a label that a file tells of: `ATTRIBUTES`, those that are there.

    Args:
        record: a row or an annotation; one without provenance tells of none.

    Raises:
        ValueError: what it says cannot be understood.
    """
    told = record.get(KEY)
    if told is None:
        return {}
    if not isinstance(told, Mapping):
        raise ValueError(f"its {KEY} is {told!r:.40}, not an object")
    facts: Facts = {}
    for key in _KNOWN:
        if (value := told.get(key)) is None:
            continue
        found = text(value)
        if found is None or len(found) > _LONGEST:
            raise ValueError(
                f"its {KEY} has {key} {value!r:.40}: it must be a text of up to {_LONGEST} "
                "characters"
            )
        facts[key] = found
    attributes: dict[str, Any] = {name: facts[name] for name in _DECISION if name in facts}
    if "review" in facts and facts["review"] not in _REVIEWS:
        raise ValueError(
            f"its {KEY} has review {facts['review']!r:.40}: it must be one of {_REVIEWS}"
        )
    if "reviewed_at" in facts:
        attributes["reviewed_at"] = _read(facts["reviewed_at"])
    made = {key: value for key, value in facts.items() if key not in _DECISION}
    attributes |= _scores(record, by_run="prompt_type" in made)
    return {KEY: made, **attributes} if made else attributes


def _scores(record: Mapping[str, Any], *, by_run: bool) -> dict[str, Any]:
    """The scores of a record; a row has 0 for those that a label of no run lacks."""
    scores: dict[str, Any] = {}
    for name in SCORES:
        value = record.get(name)
        if value is None and name == "confidence":
            value = record.get("score")
        if value is None:
            continue
        found = number(value)
        if found is None:
            raise ValueError(f"its {name} is {value!r:.40}, not a finite number")
        if by_run or found:
            scores[name] = found
    for name, read in _BEST.items():
        best = record.get(name)
        if not best:
            continue
        values = [read(value) for value in best] if isinstance(best, list) else [None]
        if len(values) > _MOST or any(v is None or len(str(v)) > _LONGEST for v in values):
            raise ValueError(f"its {name} is {best!r:.40}, not a list of up to {_MOST} of them")
        scores[name] = values
    return scores


def _written(value: Any) -> str:
    if not isinstance(value, datetime):
        return str(value)
    # FiftyOne gives times without a zone, and means UTC.
    return value.replace(tzinfo=value.tzinfo or timezone.utc).isoformat()


def _read(written: str) -> datetime:
    try:
        found = datetime.fromisoformat(written.replace("Z", "+00:00"))
        return found.replace(tzinfo=found.tzinfo or timezone.utc).astimezone(timezone.utc)
    except (ValueError, OverflowError):
        raise ValueError(
            f"its {KEY} has reviewed_at {written!r:.40}: it must be a time in ISO 8601, in the "
            "years 1 to 9999 of UTC"
        ) from None
