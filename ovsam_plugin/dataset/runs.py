"""The record of a labelling run: what it was made with, and how it went.

A run is registered under its label field's name before the first sample is labelled, so that a run
that was killed can be told from labels of unknown origin and goes on where it stopped.
"""

from __future__ import annotations

import platform
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass
from dataclasses import field as default
from datetime import datetime, timezone
from importlib.metadata import version
from typing import Any
from uuid import uuid4

import fiftyone as fo
import numpy as np
import numpy.typing as npt

from ovsam_plugin.dataset.database import patiently
from ovsam_plugin.dataset.store import Store
from ovsam_plugin.images.tiles import Tiles
from ovsam_plugin.vocabulary.sources import load_vocabulary
from ovsam_plugin.vocabulary.tables import BUILT_IN
from ovsam_plugin.vocabulary.vocabulary import Category, Vocabulary

_LABEL, _RELABEL = "ovsam/label", "ovsam/relabel"
_NONE = "none: call label_dataset first (a dataset cloned from a view has no runs)"
_ALSO_RECORDED = ("method", "versions", "cls", "type")


@dataclass(frozen=True)
class Settings:
    """All that changes the labels of a run.

    Attributes:
        preset: the preset's name.
        weights: sha256 of its weights.
        vocabulary: the vocabulary's name.
        vocabulary_hash: sha256 of its classes.
        prompt_fields: field names by keyword of `apply_model`; empty for everything.
        find: the words that were asked for, or None.
        min_confidence: labels below it were left out, or None.
        min_objectness: instances below it were left out, or None for the preset's own.
        all_candidates: whether every candidate was kept.
        tiles: "auto", or how many along the longer side.
        namer: who made the embeddings, where not the preset itself did; see `embedder`.
        cuts: how that namer was shown the instances.
        namer_hash, namer_tower: digests of its embeddings and of its text tower.
        points_per_side: the lattice of "everything".
        refine_masks: whether mask prompts were drawn anew.
        calibration: of the confidences, as JSON, or None.
        adapter: hash of what had been learned from decisions, or None.
        precision: that the first call computed with. Others may have another, as machines differ.
    """

    preset: str
    weights: str
    vocabulary: str
    vocabulary_hash: str
    prompt_fields: dict[str, str] = default(default_factory=dict)
    find: str | None = None
    min_confidence: float | None = None
    points_per_side: int | None = None
    refine_masks: bool = False
    calibration: str | None = None
    adapter: str | None = None
    min_objectness: float | None = None
    all_candidates: bool = False
    tiles: Tiles = "auto"
    namer: str | None = None
    cuts: str | None = None
    namer_hash: str | None = None
    namer_tower: str | None = None
    precision: str = "fp32"

    def differences(self, recorded: Mapping[str, Any]) -> list[str]:
        """In words, each setting that is not as recorded."""
        return [
            f"{name} was {recorded.get(name)!r:.80}, now {value!r:.80}"
            for name, value in asdict(self).items()
            if name != "precision" and recorded.get(name) != value
        ]


@dataclass(frozen=True)
class Renaming:
    """What a relabelling was made with.

    Attributes:
        source: the field whose embeddings were named anew.
        preset, weights: of that field's run.
        namer, cuts, namer_hash, namer_tower: of that run, too.
        vocabulary, vocabulary_hash: of the new names.
        min_confidence: labels below it were left out, or None.
        calibration: of the confidences, as JSON, or None.
        adapter: hash of what had been learned from decisions, or None.
        added: how many of the classes, the last ones, a person has added by decisions.
    """

    source: str
    preset: str
    weights: str
    vocabulary: str
    vocabulary_hash: str
    min_confidence: float | None = None
    calibration: str | None = None
    adapter: str | None = None
    added: int = 0
    namer: str | None = None
    cuts: str | None = None
    namer_hash: str | None = None
    namer_tower: str | None = None


def fields(dataset: fo.Dataset) -> list[str]:
    """The fields that runs of ours were registered for, whether they are still there or not."""
    return [name for name in dataset.list_runs() if recorded(dataset, name) is not None]


def recorded(dataset: fo.Dataset, field: str) -> dict[str, Any] | None:
    """The settings of the labelling or relabelling that filled a field; None if neither did."""
    if not dataset.has_run(field):
        return None
    config: dict[str, Any] = dataset.get_run_info(field).config.serialize()
    return config if config.get("method") in (_LABEL, _RELABEL) else None


def required(dataset: fo.Dataset, field: str) -> dict[str, Any]:
    """The settings of the labelling or relabelling that filled a field that is there.

    Raises:
        ValueError: neither did, or the field is gone; the message names those that are there.
    """
    found = recorded(dataset, field)
    if found is None or dataset.get_field(field) is None:
        known = [name for name in fields(dataset) if dataset.get_field(name) is not None]
        lost = [name for name in fields(dataset) if dataset.get_field(name) is None]
        renamed = (
            f" (if a field was {lost[0]!r} before, rename it back: "
            f"dataset.rename_sample_field(..., {lost[0]!r}))"
            if lost
            else ""
        )
        raise ValueError(
            f"no labelling run filled field {field!r}{renamed}; there are "
            f"{', '.join(map(repr, known)) or _NONE}"
        )
    return found


def source_field(dataset: fo.Dataset, field: str) -> str:
    """The field whose labelling made the embeddings that go with a run's labels, or did before it
    was removed.

    Raises:
        ValueError: as for `required`.
    """
    required(dataset, field)
    return origin(dataset, field)


def origin(dataset: fo.Dataset, field: str) -> str:
    """As `source_field`, also where no run is recorded or the field is gone."""
    return str((recorded(dataset, field) or {}).get("source") or field)


def sharers(dataset: fo.Dataset, field: str) -> list[str]:
    """The other fields whose labels go with the same embeddings as this one's."""
    source = origin(dataset, field)
    return [
        other
        for other in fields(dataset)
        if other != field
        and dataset.get_field(other) is not None
        and origin(dataset, other) == source
    ]


def recorded_settings(dataset: fo.Dataset, field: str) -> dict[str, Any] | None:
    """The settings of the run that filled a field, or None when no labelling run did."""
    config = recorded(dataset, field)
    return config if config is not None and config["method"] == _LABEL else None


def register(
    dataset: fo.Dataset,
    field: str,
    settings: Settings | Renaming,
    vocabulary: Vocabulary,
    examples: Mapping[str, npt.NDArray[np.float32]] | None = None,
) -> None:
    """Records the settings, versions and time of a run that begins, its classes and examples."""
    method = _LABEL if isinstance(settings, Settings) else _RELABEL
    config = dataset.init_run(method=method, versions=_versions(), **asdict(settings))
    dataset.register_run(field, config, overwrite=True)
    _sessions(dataset, field).clear()
    keep_classes(dataset, field, vocabulary, examples)


def keep_classes(
    dataset: fo.Dataset,
    field: str,
    vocabulary: Vocabulary,
    examples: Mapping[str, npt.NDArray[np.float32]] | None = None,
) -> None:
    """Records a run's classes, where they are not: a call may have been killed before it did.

    Args:
        dataset: the run's dataset.
        field: its label field.
        vocabulary: its classes.
        examples: the embeddings of the examples of its classes.
    """
    if recorded_vocabulary(dataset, field) is None:
        shown = {name: _as_text(vector) for name, vector in (examples or {}).items()}
        results = dataset.init_run_results(field, classes=_rows(vocabulary), examples=shown)
        dataset.save_run_results(field, results)


def kept_examples(dataset: fo.Dataset, field: str) -> dict[str, npt.NDArray[np.float32]]:
    """The embeddings of the examples of a run's classes, by example."""
    vocabulary = (recorded(dataset, field) or {}).get("vocabulary")
    if vocabulary is None or vocabulary in BUILT_IN or not dataset.has_run(field):
        return {}
    shown = getattr(_results(dataset, field), "examples", None) or {}
    return {name: np.frombuffer(b64decode(text), "<f4") for name, text in shown.items()}


def _as_text(vector: npt.NDArray[np.float32]) -> str:
    return b64encode(vector.astype("<f4").tobytes()).decode()


def recorded_vocabulary(dataset: fo.Dataset, field: str) -> Vocabulary | None:
    """The classes that a run's labels were named from; None if no run of ours filled the field, or
    the package's vocabulary of that name has changed since."""
    config = recorded(dataset, field)
    if config is None:
        return None
    rows = getattr(_results(dataset, field), "classes", None)
    if rows:
        vocabulary = Vocabulary(config["vocabulary"], tuple(Category(*row) for row in rows))
    elif config["vocabulary"] in BUILT_IN:
        vocabulary = load_vocabulary(config["vocabulary"])
    else:
        return None
    return vocabulary if vocabulary.hash == config["vocabulary_hash"] else None


def required_vocabulary(dataset: fo.Dataset, field: str) -> Vocabulary:
    """As `recorded_vocabulary`.

    Raises:
        ValueError: it is not there.
    """
    vocabulary = recorded_vocabulary(dataset, field)
    if vocabulary is None:
        raise ValueError(
            f"the classes that field {field!r} was named from are not kept: relabel it over a "
            "vocabulary, and go on with the new field"
        )
    return vocabulary


def add_session(dataset: fo.Dataset, field: str, session: Mapping[str, Any]) -> None:
    """Records what one call of a run did, beside what other calls did."""
    key = uuid4().hex
    patiently(lambda: _sessions(dataset, field).put(key, dict(session)))


def sessions(dataset: fo.Dataset, field: str) -> list[dict[str, Any]]:
    """What each call of a run did, those that began first first; calls that were killed left none.

    Each has the `field`, when it `started` (`now`), its `precision`, and the counts of its summary.
    """
    earlier: list[dict[str, Any]] = []
    if dataset.has_run(field):  # versions before 0.5 kept them in the run's results
        earlier = list(getattr(_results(dataset, field), "sessions", None) or [])
    store = _sessions(dataset, field)
    found = [value for _, value in store.items(store.keys())]
    return sorted([*earlier, *found], key=lambda session: str(session["started"]))


def last_started(dataset: fo.Dataset, field: str) -> datetime | None:
    """When the last call of a run began that came to its end; None if none did."""
    known = sessions(dataset, field)
    return datetime.fromisoformat(known[-1]["started"]) if known else None


def rename_prompts(dataset: fo.Dataset, field: str, settings: Settings) -> bool:
    """Notes the new names of fields that asked for a run, where they were renamed since.

    Returns:
        whether prompts of the same kinds asked, and every field that is no longer the one recorded
        is gone under its old name.
    """
    recorded = (recorded_settings(dataset, field) or {}).get("prompt_fields") or {}
    asks = settings.prompt_fields
    moved = [kind for kind in asks if recorded.get(kind) != asks[kind]]
    if recorded.keys() != asks.keys() or any(dataset.get_field(recorded[k]) for k in moved):
        return False
    if moved:
        config = dataset.get_run_info(field).config
        config.prompt_fields = dict(asks)
        config.build().update_run_config(dataset, field, config)
    return True


def delete(dataset: fo.Dataset, field: str) -> None:
    """Removes the record of a run."""
    dataset.delete_run(field)
    _sessions(dataset, field).clear()


def _sessions(dataset: fo.Dataset, field: str) -> Store:
    return Store(dataset, f"ovsam_sessions_{field}")


def _results(dataset: fo.Dataset, field: str) -> Any:
    """A run's results; None where a call was killed while FiftyOne put new ones in their place."""
    try:
        return dataset.load_run_results(field, cache=False)
    except AttributeError:  # the run names a file that is gone
        return None


def _rows(vocabulary: Vocabulary) -> list[tuple[Any, ...]]:
    """Classes as JSON has them; none of a vocabulary that the package knows by its name."""
    name = vocabulary.name
    if name in BUILT_IN and load_vocabulary(name).hash == vocabulary.hash:
        return []
    return [astuple(category) for category in vocabulary]


def now() -> str:
    """The time in ISO 8601, UTC."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def _versions() -> dict[str, str]:
    names = ("fiftyone", "torch", "fiftyone-ovsam")
    return {"python": platform.python_version(), **{n: _version(n) for n in names}}


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except Exception:
        return "not installed"
