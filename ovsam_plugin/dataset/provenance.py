"""Where a label is from: what files say of it beside its class and its mask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, TypeAlias

import fiftyone as fo

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
ATTRIBUTES = (
    Attribute(KEY, fo.DictField, "what made this label, as the file said that it was read from"),
    *DECISION,
)

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


def attributes_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of a label that a file tells of: `ATTRIBUTES`, those that are there.

    Args:
        record: a row or an annotation.

    Raises:
        ValueError: what it says cannot be understood.
    """
    told = record.get(KEY)
    if told is None:
        return {}
    if not isinstance(told, Mapping):
        raise ValueError(f"its {KEY} is {told!r:.40}, not an object")
    facts = {key: told[key] for key in _KNOWN if told.get(key) is not None}
    for key, value in facts.items():
        if not isinstance(value, str) or len(value) > _LONGEST:
            raise ValueError(f"its {KEY} has {key} {value!r:.40}: a text of up to {_LONGEST}")
    attributes: dict[str, Any] = {name: facts[name] for name in _DECISION if name in facts}
    if "review" in facts and facts["review"] not in _REVIEWS:
        raise ValueError(f"its {KEY} has review {facts['review']!r:.40}: one of {_REVIEWS}")
    if "reviewed_at" in facts:
        attributes["reviewed_at"] = _read(facts["reviewed_at"])
    made = {key: value for key, value in facts.items() if key not in _DECISION}
    return {KEY: made, **attributes} if made else attributes


def _written(value: Any) -> str:
    if not isinstance(value, datetime):
        return str(value)
    # FiftyOne gives times without a zone, and means UTC.
    return value.replace(tzinfo=value.tzinfo or timezone.utc).isoformat()


def _read(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise ValueError(f"its {KEY} has reviewed_at {text!r:.40}: a time in ISO 8601") from None
    return found.replace(tzinfo=found.tzinfo or timezone.utc)
