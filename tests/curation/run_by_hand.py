"""Runs whose labels are known because no network made them, and all that a dataset keeps."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import fiftyone.brain as fob
import numpy as np
from fiftyone.core.odm import get_db_conn
from fiftyone.operators.store.service import ExecutionStoreService

from ovsam_plugin.curation.attributes import declare
from ovsam_plugin.dataset import runs
from ovsam_plugin.dataset.fields import declare_fields
from ovsam_plugin.evaluation.evaluate import evaluate_dataset
from ovsam_plugin.vocabulary import load_vocabulary

# Of each photograph: name, confidence, unknown, doubt, group, split, frequency.
LABELS: tuple[tuple[tuple[Any, ...], ...], ...] = (
    (("cat", 0.9, 0.1, 0.2, None, "novel", "f"), ("cat", 0.3, 0.7, 0.9, 1, "novel", "f")),
    (("cup", 0.5, 0.6, 0.6, 1, "base", "c"), ("cat", 0.8, 0.2, 0.1, None, "novel", "f")),
    (("otter", 0.2, 0.9, 0.8, 2, None, "r"), (None, 0.0, None, None, None, None, None)),
)
_BOXES = ([0.1, 0.1, 0.4, 0.4], [0.5, 0.5, 0.25, 0.25])


def settings(**changes: Any) -> runs.Settings:
    known: dict[str, Any] = {
        "preset": "ovsam-lite", "weights": "w", "vocabulary": "lvis", "vocabulary_hash": "h",
    }  # fmt: skip
    return runs.Settings(**{**known, **changes})


def add_truth(dataset: fo.Dataset, field: str = "truth") -> None:
    """Two true instances a photograph, cat and cup."""
    dataset.compute_metadata(num_workers=1, progress=False)
    for sample in dataset.iter_samples(autosave=True):
        sample[field] = fo.Detections(
            detections=[
                fo.Detection(label=name, bounding_box=box, mask=np.ones((9, 9), bool))
                for name, box in zip(("cat", "cup"), _BOXES)
            ]
        )


def add_run(dataset: fo.Dataset, field: str = "ovsam", *, scored: bool = True) -> None:
    """LABELS in a field, recorded as `label_dataset` does; with `truth`, its boxes asked."""
    declare_fields(dataset, field)
    if scored:
        declare(dataset, field)
    for sample, rows in zip(dataset.iter_samples(autosave=True), LABELS):
        asked = [d.id for d in sample["truth"].detections] if sample.has_field("truth") else []
        labels = []
        for place, (name, confidence, unknown, doubt, group, split, frequency) in enumerate(rows):
            scores = {"unknown": unknown, "doubt": doubt, "group": group} if scored else {}
            labels.append(
                fo.Detection(
                    label=name,
                    bounding_box=_BOXES[place],
                    mask=None if name is None else np.ones((9, 9), bool),
                    confidence=confidence,
                    margin=confidence / 2,
                    stability=1 - confidence,
                    split=split,
                    frequency=frequency,
                    top_labels=[name, "dog"] if name else [],
                    top_scores=[confidence, confidence / 2] if name else [],
                    prompt_id=str(asked[place]) if asked else None,
                    **scores,
                )
            )
        sample[field] = fo.Detections(detections=labels)
    runs.register(dataset, field, settings(), load_vocabulary(["cat", "cup", "otter"]))


def add_relabelled(dataset: fo.Dataset, source: str, field: str, names: dict[str, str]) -> None:
    """The run again with some names changed, as a relabelling does."""
    dataset.clone_sample_field(source, field)
    path = f"{field}.detections.label"
    changed = [[names.get(n, n) for n in row] for row in dataset.values(path)]
    dataset.set_values(path, changed)
    renaming = runs.Renaming(
        source=source, preset="ovsam-lite", weights="w", vocabulary="v", vocabulary_hash="h"
    )
    runs.register(dataset, field, renaming, load_vocabulary(["cat", "cup", "otter"]))


def add_index(dataset: fo.Dataset, field: str = "ovsam") -> str:
    """A similarity run over the labels of a field."""
    vectors = {
        sample.id: np.eye(4, dtype=np.float32)[: len(sample[field].detections)]
        for sample in dataset
    }
    key = f"{field}_similarity"
    fob.compute_similarity(
        dataset, patches_field=field, embeddings=vectors, brain_key=key, progress=False
    )
    return key


def evaluate(dataset: fo.Dataset, field: str = "ovsam", key: str | None = None) -> str:
    key = key or f"{field}_eval"
    evaluate_dataset(dataset, field, "truth", eval_key=key, resize_masks=True, progress=False)
    return key


def snapshot(dataset: fo.Dataset) -> dict[str, Any]:
    """All that the database keeps for a dataset, but for when it was touched."""
    dataset.reload()
    database, owner = get_db_conn(), {"_dataset_id": dataset._doc.id}
    document = _still(database.datasets.find_one({"_id": dataset._doc.id}))
    document |= {f"app_config.{k}": v for k, v in document.pop("app_config").items()}
    return {
        # FiftyOne takes an empty list out of a document, and out of another not.
        **{name: value for name, value in document.items() if value not in ([], {}, None)},
        "view documents": [_still(d) for d in database.views.find(owner)],
        "workspace documents": [_still(d) for d in database.workspaces.find(owner)],
        "run documents": [_still(d) for d in database.runs.find(owner)],
        "files": database["fs.files"].count_documents({}),
        "indexes": dataset.get_index_information(),
        "samples": [_still(d) for d in database[dataset._sample_collection_name].find()],
        "stores": ExecutionStoreService(dataset_id=dataset._doc.id).list_stores(),
    }


def _still(document: Any) -> Any:
    if isinstance(document, dict):
        return {k: _still(v) for k, v in document.items() if k not in _TOUCHED}
    return [_still(v) for v in document] if isinstance(document, list) else document


_TOUCHED = ("last_modified_at", "last_loaded_at", "last_deletion_at")
