"""Other names for the same instances: another vocabulary, without looking at an image again."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
import numpy.typing as npt

from ovsam_plugin.calibration import Calibration
from ovsam_plugin.curation import attributes
from ovsam_plugin.curation.attributes import check_detections
from ovsam_plugin.curation.label_table import LabelTable
from ovsam_plugin.dataset import embedding_index, outlines, runs
from ovsam_plugin.dataset.embeddings import Embeddings
from ovsam_plugin.dataset.fields import (
    FIELD_DESCRIPTION,
    NAME_ATTRIBUTES,
    check_field,
    name_attributes,
)
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
        edited: labels whose box or mask was changed by hand since they were looked at; they keep
            their name, and a warning says what to do.
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
    edited: int
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
    calibration: Calibration | str | Path | None = None,
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
        overwrite: whether a field that an earlier relabelling made is made again. What a person
            decided in it stays, as far as the labels are still there.

    Raises:
        ValueError: the field has no embeddings, or some of its labels have none; the new field is
            there already, holds labels of samples outside the view, or cannot be one; a setting is
            out of range. Nothing is written then.
    """
    clock, started = time.monotonic(), runs.now()
    dataset = root_dataset(samples)
    check_detections(samples, field)
    source = runs.source_field(dataset, field)
    recorded = runs.recorded(dataset, source)
    assert recorded is not None
    preset = get_preset(recorded["preset"])
    classes = vocabulary_of(dataset, vocabulary)
    calibration = Calibration.of(calibration)
    if min_confidence is not None and not 0 <= min_confidence <= 1:
        raise ValueError(f"min_confidence is a probability, 0 to 1, got {min_confidence}")
    into = into or _name(field, classes.name)
    _check_new(samples, field, into, overwrite)
    labels = LabelTable.read(samples, field, ("label", "confidence", "review"))
    kept = _decisions(samples, into)
    decided = labels.given("review") | np.array([i in kept for i in labels.ids], dtype=bool)
    embeddings = embedding_index.load(dataset, field)
    rows = embeddings.rows(labels.ids)
    # A person's own labels carry no score, and empty ones none above 0.
    ours = np.nan_to_num(labels.numbers("confidence")) > 0
    changed_outlines = outlines.edited(samples, field)
    edited = np.array([i in changed_outlines for i in labels.ids], dtype=bool) & ~decided
    if edited.any():
        logger.warning(
            "%d labels keep their names: their box or mask was changed since they were looked at. "
            "name_instances(dataset, field=%r) looks at them again",
            edited.sum(),
            field,
        )
    _check_fresh(field, int(((rows < 0) & ours & ~decided).sum()), len(labels))

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
    settings = runs.Renaming(
        source=source,
        preset=preset.name,
        weights=recorded["weights"],
        vocabulary=classes.name,
        vocabulary_hash=classes.hash,
        min_confidence=min_confidence,
        calibration=None if calibration is None else calibration.to_json(),
    )
    runs.register(dataset, into, settings, classes)
    labels.write(dataset, into, ((i, kept[d]) for i, d in enumerate(labels.ids) if d in kept))
    forgettable = (*_FORGOTTEN, *_evaluated(dataset, field))
    declared = (n for n in forgettable if dataset.get_field(f"{into}.detections.{n}") is not None)
    forgotten = dict.fromkeys(declared)
    chosen = np.flatnonzero((rows >= 0) & ~decided & ~edited)
    changed, low = 0, []
    for part, names in _named(recognizer, embeddings, rows, chosen):
        before = [labels.columns["label"][i] for i in part]
        changed += sum(old != new for old, new in zip(before, names.names))
        low += [labels.ids[i] for i in part[names.confidence < least[names.indices]]]
        found = ({**name_attributes(names, i), **forgotten} for i in range(len(part)))
        labels.write(dataset, into, zip(part.tolist(), found))
    if low:
        dataset.delete_labels(ids=low, fields=[into])
    summary = RelabelSummary(
        field=into,
        source=field,
        instances=len(chosen) - len(low),
        changed=changed,
        decided=int(decided.sum()),
        edited=int(edited.sum()),
        others=len(labels) - len(chosen) - int((decided | edited).sum()),
        left_out=len(low),
        seconds=round(time.monotonic() - clock, 3),
    )
    runs.add_session(dataset, into, {"started": started, **asdict(summary)})
    return summary


def _name(field: str, vocabulary: str) -> str:
    name = f"{field}_{vocabulary.replace('-', '_')}"
    return name if name.isidentifier() else f"{field}_renamed"


def _decisions(samples: Samples, field: str) -> dict[str, dict[str, Any]]:
    """By its id, the name and the decision of each label that a person has decided about."""
    if samples.get_field(field) is None:
        return {}
    names = (*NAME_ATTRIBUTES, *(a.name for a in attributes.DECISION))
    table = LabelTable.read(samples, field, names)
    return {
        table.ids[i]: {name: table.columns[name][i] for name in names}
        for i in np.flatnonzero(table.given("review"))
    }


def _evaluated(dataset: fo.Dataset, field: str) -> list[str]:
    """What evaluations of the field left on its labels: it is about their names."""
    keys = [
        key
        for key in dataset.list_evaluations()
        if getattr(dataset.get_evaluation_info(key).config, "pred_field", None) == field
    ]
    return [f"{key}{ending}" for key in keys for ending in ("", "_id", "_iou")]


def _check_new(samples: Samples, field: str, into: str, overwrite: bool) -> None:
    dataset = root_dataset(samples)
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
    outside = len(all_images(dataset).exists(into)) - len(samples.exists(into))
    if outside:
        raise ValueError(
            f"{outside} samples outside this view have labels in field {into!r}: relabel the whole "
            "dataset, or into another field"
        )


def _check_fresh(field: str, missing: int, total: int) -> None:
    """Whether the index is as new as the labels."""
    if missing:
        raise ValueError(
            f"{missing} of the {total} labels in field {field!r} have no embedding: the index is "
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
