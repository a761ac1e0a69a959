"""A dataset's handle, brought up to date: other processes, such as the App's, change it too.

FiftyOne has one handle a dataset and process. It reads runs, views and fields when the dataset is
loaded, and not again; `fo.load_dataset` gives the same handle. `dataset.reload()` would read them,
but also throws away what a person has changed in samples held in memory and has not saved yet.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import fiftyone as fo
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from fiftyone.core.odm import get_db_conn
from mongoengine import DoesNotExist  # type: ignore[import-untyped]

# What FiftyOne itself reads on demand.
_LEFT_OUT = {"id", "_media_sources", "_media_source_layouts"}
_RESULTS = {
    "_annotation_cache": "annotation_runs",
    "_brain_cache": "brain_methods",
    "_evaluation_cache": "evaluations",
    "_run_cache": "runs",
}
# Documents of a dataset beside its own: what its handle knows of them is read with it.
_BESIDE = ("runs", "views", "workspaces")
_RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)
_lock = threading.RLock()
# By the class that a handle has for its samples, since a dataset is no key.
_read: WeakKeyDictionary[type, bytes] = WeakKeyDictionary()
"""Of each handle, what the database had when it was brought up to date."""


def as_stored(dataset: fo.Dataset) -> fo.Dataset:
    """The same handle, its fields, runs, views and settings as the database has them now.

    What was changed on the handle and is not saved yet stays as it is, and no sample is touched.

    Args:
        dataset: any handle; views of it stay valid.

    Raises:
        ValueError: another process has deleted the dataset.
    """
    document = dataset._doc
    with _lock:
        stored = _stored(dataset)
        if _read.get(dataset._sample_doc_cls) == stored:
            return dataset
        unsaved = {path.partition(".")[0] for path in document._get_changed_fields()}
        names = [n for n in document._fields if n not in unsaved and n not in _LEFT_OUT]
        fields, results = _schema(dataset), _results(dataset)
        try:
            document.reload(*names)
        except DoesNotExist:
            raise ValueError(f"dataset {document.name!r} has been deleted meanwhile") from None
        _redeclare(dataset, fields)
        if dataset._group_slice is None:
            dataset._group_slice = document.default_group_slice
        now = _results(dataset)
        for (cache, key), stamp in results.items():
            if now.get((cache, key)) != stamp:
                getattr(dataset, cache).pop(key, None)
        _read[dataset._sample_doc_cls] = stored
    return dataset


def _stored(dataset: fo.Dataset) -> bytes:
    """All that the database has of a dataset but its samples: comparing it takes a tenth of the
    time of reading it into a handle.

    Raises:
        ValueError: another process has deleted the dataset.
    """
    database = get_db_conn()
    document = dataset._doc
    datasets = database.get_collection("datasets", codec_options=_RAW)
    own = datasets.find_one({"_id": document.id})
    if own is None:
        raise ValueError(f"dataset {document.name!r} has been deleted meanwhile")
    parts = [own.raw]
    for name in _BESIDE:
        beside = database.get_collection(name, codec_options=_RAW)
        parts += [found.raw for found in beside.find({"_dataset_id": document.id})]
    return b"".join(parts)


def _schema(dataset: fo.Dataset) -> dict[str, Any]:
    return {field.name: field.to_mongo() for field in dataset._doc.sample_fields}


def _redeclare(dataset: fo.Dataset, before: Mapping[str, Any]) -> None:
    """On the class that samples in memory have, so that they know the fields too."""
    samples = dataset._sample_doc_cls
    now = _schema(dataset)
    for name in before.keys() - now.keys():
        samples._undeclare_field(name)
    for field in dataset._doc.sample_fields:
        if before.get(field.name) != now[field.name]:
            samples._declare_field(dataset, field.name, field)


def _results(dataset: fo.Dataset) -> dict[tuple[str, str], Any]:
    """By cache and key, what changes whenever the results of a run are saved."""
    found = {}
    for cache, runs in _RESULTS.items():
        for key in list(getattr(dataset, cache)):
            run = getattr(dataset._doc, runs).get(key)
            found[cache, key] = run and (run.timestamp, getattr(run.results, "grid_id", None))
    return found
