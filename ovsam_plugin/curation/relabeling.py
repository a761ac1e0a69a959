"""Other names for the same instances: another vocabulary, without looking at an image again."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
import numpy.typing as npt
from bson import ObjectId

from ovsam_plugin.curation import attributes
from ovsam_plugin.curation.attributes import own_detections
from ovsam_plugin.curation.label_table import LabelTable
from ovsam_plugin.curation.relabeled_field import (
    Earlier,
    check_new,
    declare,
    earlier_labels,
    new_field_name,
)
from ovsam_plugin.dataset import edits, embedding_index, runs, writing
from ovsam_plugin.dataset.embedder import Embedder, same_namer
from ovsam_plugin.dataset.embeddings import StoredEmbeddings
from ovsam_plugin.dataset.examples import Kept, run_adapter
from ovsam_plugin.dataset.fields import name_attributes
from ovsam_plugin.dataset.overwriting import Overwrite
from ovsam_plugin.dataset.targets import Samples, root_dataset
from ovsam_plugin.dataset.vocabulary_spec import Examples, VocabularySpec, vocabulary_of
from ovsam_plugin.dataset.workers import Worker
from ovsam_plugin.hardware.device import pick_device
from ovsam_plugin.namers import NamerSpec
from ovsam_plugin.prediction.labeler import build_recognizer
from ovsam_plugin.ranges import check_part
from ovsam_plugin.recognition.adapter import Adapter
from ovsam_plugin.recognition.calibration import Calibration
from ovsam_plugin.recognition.recognizer import Recognition, Recognizer
from ovsam_plugin.renaming import renamed

logger = logging.getLogger(__name__)

# Labels named at once.
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
        left_out: labels below the minimum confidence.
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


@renamed(field="pred_field", into="label_field")
def relabel_dataset(
    samples: Samples,
    *,
    vocabulary: VocabularySpec,
    examples: Examples | None = None,
    pred_field: str = "ovsam",
    label_field: str | None = None,
    min_confidence: float | None = None,
    calibration: Calibration | str | Path | None = None,
    adapter: Adapter | str | Path | None = None,
    namer: str | None = None,
    device: str = "auto",
    overwrite: Overwrite = False,
) -> RelabelSummary:
    """Names a run's instances over another vocabulary, into a new field.

    The new labels have the ids, masks and boxes of the old, so that two runs can be compared and
    one index serves both. The old field stays as it is. Nothing is written before all names are
    there; a call that is stopped while they are written, even killed, is finished by the same call.

    Args:
        samples: a dataset or view of images.
        vocabulary, examples: as for `label_dataset`. Examples that the run has no embedding of are
            looked at.
        pred_field: a field that `label_dataset` or an earlier relabelling filled.
        label_field: the new field; `<field>_<vocabulary>` when None.
        min_confidence: labels below it are left out; None keeps every answer.
        calibration: of the confidences, or its file. Labels below its thresholds are left out.
        adapter: what `learn_names` learned from decisions, or its file; for the weights of the run
            and the vocabulary that it was learned for.
        namer: whose words are to be read; they can be those of the embeddings' own namer alone.
        device: "auto", "cpu", "cuda", ...
        overwrite: True makes a field that an earlier relabelling made again. What a person decided
            in it by the time it is replaced stays, and so do labels that a person drew or edited in
            it. "all" replaces whatever a field holds, a person's decisions and labels included.

    Returns:
        what was done.

    Raises:
        ValueError: the field has no embeddings, or some of its labels have none; the new field is
            there already, is read-only, holds labels that the view does not show, or cannot be one;
            a setting is out of range. Nothing is written then.
    """
    clock, started = time.monotonic(), runs.now()
    dataset = root_dataset(samples)
    samples = own_detections(samples, pred_field)
    recorded = runs.required(dataset, pred_field)
    embedder = Embedder.of(recorded)
    _check_namer(pred_field, embedder, NamerSpec.of(namer))
    classes = vocabulary_of(dataset, vocabulary, examples)
    calibration, adapter = Calibration.of(calibration), Adapter.of(adapter)
    shown: Kept = {}
    if adapter is None:
        adapter, shown = run_adapter(dataset, classes, embedder, device)
    else:
        adapter.check(embedder.fingerprint, classes)
        classes = adapter.vocabulary
    check_part("min_confidence", min_confidence)
    label_field = label_field or new_field_name(pred_field, classes.name)
    settings = runs.Renaming(
        source=runs.origin(dataset, pred_field),
        preset=recorded["preset"],
        weights=recorded["weights"],
        vocabulary=classes.name,
        vocabulary_hash=classes.hash,
        min_confidence=min_confidence,
        calibration=None if calibration is None else calibration.to_json(),
        adapter=None if adapter is None else adapter.hash,
        added=0 if adapter is None else adapter.added,
        **same_namer(recorded),
    )
    # Of two calls that fill one field the second sees what the first has made.
    with Worker(dataset, label_field) as worker, worker.lease(f"the names of {label_field!r}"):
        check_new(samples, pred_field, settings, label_field, overwrite)
        labels = LabelTable.read(samples, pred_field, ("label", "confidence", "review"))
        earlier = earlier_labels(samples, pred_field, label_field, set(labels.ids))
        if overwrite == "all":
            earlier = Earlier(earlier.samples)
        decided = labels.given("review") | _among(labels, earlier.decided)
        changed_there = {i for some in earlier.edited.values() for i in some}
        by_hand = _among(labels, edits.edited(samples, pred_field) | changed_there) & ~decided
        if by_hand.any():
            logger.warning(
                "%d labels keep their names: their box or mask was changed since they were named. "
                "To name them again, call name_instances(dataset, pred_field=%r)",
                by_hand.sum(),
                pred_field,
            )
        embeddings = embedding_index.load(dataset, pred_field)
        rows = embeddings.rows(labels.ids)
        # A person's own labels carry no score, and empty ones none above 0.
        ours = np.nan_to_num(labels.numbers("confidence")) > 0
        _check_fresh(pred_field, int(((rows < 0) & ours & ~decided).sum()), len(labels))

        recognizer = build_recognizer(embedder.side, classes, pick_device(device))
        if adapter is not None:
            recognizer = recognizer.adapted(adapter)
        least = np.full(len(classes), min_confidence or 0.0, np.float32)
        if calibration is not None:
            calibration.check(embedder.fingerprint, classes)
            recognizer = recognizer.at_temperature(calibration.temperature)
            least = np.maximum(least, calibration.least(classes))

        # Decided ones get a name too: a person may take the decision back before it is written.
        chosen = np.flatnonzero((rows >= 0) & ~by_hand)
        names = _Names.found(recognizer, embeddings, rows, chosen, least)
        runs.register(dataset, label_field, settings, classes, shown)
        declare(dataset, pred_field, label_field)
        copies = _copies(
            samples, pred_field, labels, earlier, names, _forgotten(dataset, pred_field)
        )
        writing.copy_labels(
            dataset, pred_field, label_field, copies, replaces_decided=overwrite == "all"
        )

        named = chosen[~decided[chosen]]
        kept = named[~names.low[named]]
        before = labels.columns["label"]
        summary = RelabelSummary(
            field=label_field,
            source=pred_field,
            instances=len(kept),
            changed=sum(before[row] != names.name(row) for row in kept),
            decided=int(decided.sum()),
            edited=int(by_hand.sum()),
            others=len(labels) - len(named) - int((decided | by_hand).sum()),
            left_out=len(named) - len(kept),
            seconds=round(time.monotonic() - clock, 3),
        )
        runs.add_session(dataset, label_field, {"started": started, **asdict(summary)})
        return summary


@dataclass(frozen=True, eq=False)
class _Names:
    """New names of some of N labels.

    Attributes:
        parts: the names, some labels at a time.
        places: (N,) where each label's name is in all parts; -1 for labels without one.
        low: (N,) bool: its confidence is below the least.
    """

    parts: list[Recognition]
    places: npt.NDArray[np.int64]
    low: npt.NDArray[np.bool_]

    @classmethod
    def found(
        cls,
        recognizer: Recognizer,
        embeddings: StoredEmbeddings,
        rows: npt.NDArray[np.int64],
        chosen: npt.NDArray[np.int64],
        least: npt.NDArray[np.float32],
    ) -> _Names:
        places = np.full(len(rows), -1, np.int64)
        places[chosen] = np.arange(len(chosen))
        low = np.zeros(len(rows), dtype=bool)
        parts = []
        for start in range(0, len(chosen), _LABELS):
            part = chosen[start : start + _LABELS]
            some = embeddings[rows[part]]
            names = recognizer.recognize(some.head, some.clip, np.zeros(len(part), dtype=bool))
            low[part] = names.confidence < least[names.indices]
            parts.append(names)
        return cls(parts, places, low)

    def name(self, row: int) -> str:
        part, index = divmod(int(self.places[row]), _LABELS)
        return self.parts[part].vocabulary.names[int(self.parts[part].indices[index])]

    def attributes(self, row: int) -> dict[str, Any]:
        part, index = divmod(int(self.places[row]), _LABELS)
        return name_attributes(self.parts[part], index)


def _copies(
    samples: Samples,
    field: str,
    labels: LabelTable,
    earlier: Earlier,
    names: _Names,
    forgotten: Mapping[str, None],
) -> Iterator[writing.Copy]:
    """One a sample that has labels in either field, or none of either but was labelled."""
    by_sample: dict[ObjectId, list[int]] = {}
    for row, owner in enumerate(labels.samples):
        by_sample.setdefault(owner, []).append(row)
    labelled = samples.exists(field).values("_id")
    for owner in dict.fromkeys([*labelled, *earlier.samples]):
        rows = by_sample.get(owner, [])
        yield writing.Copy(
            owner,
            label_ids=[labels.ids[row] for row in rows],
            values={
                labels.ids[row]: {**names.attributes(row), **forgotten}
                for row in rows
                if names.places[row] >= 0
            },
            left_out=[labels.ids[row] for row in rows if names.low[row]],
            kept=earlier.edited.get(owner, ()),
        )


def _among(labels: LabelTable, ids: Collection[str]) -> npt.NDArray[np.bool_]:
    return np.array([i in ids for i in labels.ids], dtype=bool)


def _forgotten(dataset: fo.Dataset, field: str) -> dict[str, None]:
    """What was made from the old name, or says something of it, and is declared."""
    evaluated = [
        f"{key}{ending}"
        for key in dataset.list_evaluations()
        if getattr(dataset.get_evaluation_info(key).config, "pred_field", None) == field
        for ending in ("", "_id", "_iou")
    ]
    names = (*_FORGOTTEN, *evaluated)
    return {n: None for n in names if dataset.get_field(f"{field}.detections.{n}") is not None}


def _check_namer(field: str, embedder: Embedder, namer: NamerSpec | None) -> None:
    """That names are read by whom the embeddings were made for."""
    if namer is not None and namer.name != embedder.name:
        raise ValueError(
            f"the embeddings of field {field!r} were made by {embedder.name}, and cannot be "
            f"compared with the words that {namer.name} reads. To name the instances with it, "
            f"call name_instances(dataset, pred_field={field!r}, namer={namer.name!r})"
        )


def _check_fresh(field: str, missing: int, total: int) -> None:
    """Whether the index is as new as the labels."""
    if missing:
        raise ValueError(
            f"{missing} of the {total} labels in field {field!r} have no embedding: the index is "
            "older than the labels. Label again with the settings of that run; if it was made "
            "with embeddings=False, replace existing labels too (overwrite)"
        )
