"""Other names for the same instances: another vocabulary, without looking at an image again."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
import numpy.typing as npt
from bson import ObjectId
from pymongo import UpdateOne

from ovsam_plugin.calibration import Calibration
from ovsam_plugin.curation import attributes
from ovsam_plugin.curation.attributes import check_detections
from ovsam_plugin.dataset import embedding_index, runs
from ovsam_plugin.dataset.embeddings import Embeddings
from ovsam_plugin.dataset.fields import FIELD_DESCRIPTION, check_field, name_attributes
from ovsam_plugin.dataset.targets import Samples, all_images, root_dataset
from ovsam_plugin.dataset.vocabulary_spec import VocabularySpec, vocabulary_of
from ovsam_plugin.labeler import build_recognizer
from ovsam_plugin.predictor import pick_device
from ovsam_plugin.presets import get_preset
from ovsam_plugin.recognition import Recognition, Recognizer

logger = logging.getLogger(__name__)

# Labels named and written at once.
_LABELS = 20_000
# What a name decides beside itself; a score that was made from the old name is no longer true.
_FORGOTTEN = ("match", *(a.name for a in (*attributes.SCORES, *attributes.SEARCH)))


@dataclass(frozen=True)
class RelabelSummary:
    """What one relabelling did.

    Attributes:
        field: the new label field.
        source: whose instances were named anew.
        instances: labels with a new name.
        changed: of those, labels whose name is another one now.
        decided: labels that a person had decided about; they keep their name.
        others: labels without an embedding that no run of ours made, and empty ones; they stay
            as they are.
        left_out: labels below the least confidence.
        seconds: how long it took.
    """

    field: str
    source: str
    instances: int
    changed: int
    decided: int
    others: int
    left_out: int
    seconds: float


def relabel_dataset(
    samples: Samples,
    *,
    vocabulary: VocabularySpec,
    field: str = "ovsam",
    into: str | None = None,
    min_confidence: float | None = None,
    calibration: Calibration | Path | None = None,
    device: str = "auto",
    overwrite: bool = False,
) -> RelabelSummary:
    """Names a run's instances over another vocabulary, into a new field.

    The new labels have the ids, masks and boxes of the old, so that two runs can be compared and
    one index serves both. The old field stays as it is.

    Args:
        samples: a dataset or view of images.
        vocabulary: as for `label_dataset`.
        field: a field that `label_dataset` or an earlier relabelling filled.
        into: the new field; `<field>_<vocabulary>` when None.
        min_confidence: labels below it are left out; None keeps every answer.
        calibration: of the confidences, or its file. Labels below its thresholds are left out.
        device: "auto", "cpu", "cuda", ...
        overwrite: whether a field that an earlier relabelling made is made again.

    Raises:
        ValueError: the field has no embeddings, or some of its labels have none; the new field is
            there already, or cannot be one; a setting is out of range. Nothing is written then.
    """
    clock, started = time.monotonic(), runs.now()
    dataset = root_dataset(samples)
    check_detections(samples, field)
    source = runs.source_field(dataset, field)
    recorded = runs.recorded(dataset, source)
    assert recorded is not None
    preset = get_preset(recorded["preset"])
    classes = vocabulary_of(dataset, vocabulary)
    if isinstance(calibration, Path):
        calibration = Calibration.load(calibration)
    if min_confidence is not None and not 0 <= min_confidence <= 1:
        raise ValueError(f"min_confidence is a probability, 0 to 1, got {min_confidence}")
    into = into or _name(field, classes.name)
    _check_new(dataset, field, into, overwrite)
    labels = _labels(samples, field)
    embeddings = embedding_index.load(dataset, field)
    rows = embeddings.rows(labels.ids)
    _check_fresh(labels, rows, field)

    recognizer = build_recognizer(preset, classes, pick_device(device))
    least = np.full(len(classes), min_confidence or 0.0, np.float32)
    if calibration is not None:
        calibration.check(recorded["weights"], classes)
        recognizer = recognizer.at_temperature(calibration.temperature)
        least = np.maximum(least, calibration.least(classes))

    if dataset.get_field(into) is not None:
        dataset.delete_sample_field(into)
    samples.clone_sample_field(field, into)
    dataset.get_field(into).description = FIELD_DESCRIPTION
    attributes.declare(dataset, into)
    settings = runs.Renaming(
        source=source,
        preset=preset.name,
        weights=recorded["weights"],
        vocabulary=classes.name,
        vocabulary_hash=classes.hash,
        min_confidence=min_confidence,
        calibration=None if calibration is None else calibration.to_json(),
    )
    runs.register(dataset, into, settings)
    chosen = np.flatnonzero((rows >= 0) & ~labels.decided)
    changed, low = 0, []
    for part, names in _named(recognizer, embeddings, rows, chosen):
        changed += int((labels.names[part] != np.array(names.names, object)).sum())
        low += [labels.ids[i] for i in part[names.confidence < least[names.indices]]]
        _write(dataset, into, labels, part, names)
    if low:
        dataset.delete_labels(ids=low, fields=[into])
    decided = int(labels.decided.sum())
    summary = RelabelSummary(
        field=into,
        source=field,
        instances=len(chosen) - len(low),
        changed=changed,
        decided=decided,
        others=len(labels.ids) - len(chosen) - decided,
        left_out=len(low),
        seconds=round(time.monotonic() - clock, 3),
    )
    runs.add_session(dataset, into, {"started": started, **asdict(summary)})
    return summary


@dataclass(frozen=True, eq=False)
class _Labels:
    """N labels of a field, in the order of their samples.

    Attributes:
        samples: their samples' ids.
        places: (N,) where each stands in its sample's list.
        ids: their own.
        names: (N,) object, the class or None.
        decided: (N,) bool, a person has decided about it.
        ours: (N,) bool, it carries a score, as labels of a run do.
    """

    samples: list[ObjectId]
    places: npt.NDArray[np.int64]
    ids: list[str]
    names: npt.NDArray[np.object_]
    decided: npt.NDArray[np.bool_]
    ours: npt.NDArray[np.bool_]


def _labels(samples: Samples, field: str) -> _Labels:
    view = all_images(samples) if isinstance(samples, fo.Dataset) else samples
    root = f"{field}.detections"
    paths = [f"{root}.id", f"{root}.label", f"{root}.confidence"]
    review = f"{root}.review" if samples.get_field(f"{root}.review") is not None else None
    owners, *columns = view.values(["_id", *paths, *([review] if review else [])])
    ids, names, confidence = columns[:3]
    flat = [(owner, i) for owner, row in zip(owners, ids) for i in range(len(row or ()))]
    decided = _flat(columns[3]) if review else [None] * len(flat)
    return _Labels(
        samples=[owner for owner, _ in flat],
        places=np.array([i for _, i in flat], dtype=np.int64),
        ids=_flat(ids),
        names=np.array(_flat(names), dtype=object),
        decided=np.array([value is not None for value in decided], dtype=bool),
        ours=np.array([bool(value) for value in _flat(confidence)], dtype=bool),
    )


def _flat(rows: Sequence[Sequence[Any] | None]) -> list[Any]:
    return [value for row in rows for value in row or ()]


def _name(field: str, vocabulary: str) -> str:
    name = f"{field}_{vocabulary.replace('-', '_')}"
    return name if name.isidentifier() else f"{field}_renamed"


def _check_new(dataset: fo.Dataset, field: str, into: str, overwrite: bool) -> None:
    if into == field:
        raise ValueError(f"the new names need a field of their own: choose another than {into!r}")
    check_field(dataset, into)
    if dataset.get_field(into) is None:
        return
    recorded = runs.recorded(dataset, into)
    if recorded is None or "source" not in recorded:
        raise ValueError(f"field {into!r} is there already, and no relabelling made it")
    if not overwrite:
        raise ValueError(
            f"field {into!r} is there already, with names of {recorded['vocabulary']!r}: "
            "use overwrite=True or another field"
        )


def _check_fresh(labels: _Labels, rows: npt.NDArray[np.int64], field: str) -> None:
    """Whether the index is as new as the labels."""
    old = int(((rows < 0) & labels.ours & ~labels.decided).sum())
    if old:
        raise ValueError(
            f"{old} of the {len(rows)} labels in field {field!r} have no embedding: the index is "
            "older than the labels. Call label_dataset again with the settings of that run; where "
            "embeddings=False was used, with overwrite=True"
        )


def _named(
    recognizer: Recognizer,
    embeddings: Embeddings,
    rows: npt.NDArray[np.int64],
    chosen: npt.NDArray[np.int64],
) -> Iterator[tuple[npt.NDArray[np.int64], Recognition]]:
    """Some labels at a time and their new names."""
    for start in range(0, len(chosen), _LABELS):
        part = chosen[start : start + _LABELS]
        some = embeddings[rows[part]]
        yield part, recognizer.recognize(some.head, some.clip, np.zeros(len(part), dtype=bool))


def _write(
    dataset: fo.Dataset,
    field: str,
    labels: _Labels,
    part: npt.NDArray[np.int64],
    names: Recognition,
) -> None:
    """One update a sample: FiftyOne's own ways write one attribute of all labels at a time."""
    updates: dict[ObjectId, dict[str, Any]] = {}
    for row, label in enumerate(part.tolist()):
        root = f"{field}.detections.{labels.places[label]}"
        update = updates.setdefault(labels.samples[label], {})
        values = {**name_attributes(names, row), **dict.fromkeys(_FORGOTTEN)}
        update |= {f"{root}.{name}": value for name, value in values.items()}
    operations = [UpdateOne({"_id": key}, {"$set": value}) for key, value in updates.items()]
    if operations:
        dataset._bulk_write(operations, ids=[str(key) for key in updates])
