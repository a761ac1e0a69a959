"""The samples that a caller holds in memory: they see what is written, and lose no unsaved edit.

FiftyOne's own ways to write reload whole samples, and with them whatever their holder has not saved
yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

import fiftyone as fo


def refresh(dataset: fo.Dataset, fields: Sequence[str], sample_ids: Iterable[str]) -> None:
    """Shows samples in memory what was written to some of their fields.

    The rest of a sample stays as it is in memory, and so does a field with edits of its own.

    Args:
        dataset: the samples' dataset.
        fields: those that were written.
        sample_ids: of the samples that were written.
    """
    written = set(sample_ids)
    for sample in _held(dataset):
        if sample.id not in written:
            continue
        edited = _edited(sample)
        shown = [name for name in fields if sample.has_field(name) and name not in edited]
        if shown:
            # Another process may have deleted the sample.
            with suppress(sample._doc.DoesNotExist):
                sample._doc.reload(*shown, "last_modified_at")


@contextmanager
def edits_kept(dataset: fo.Dataset) -> Iterator[None]:
    """Whatever FiftyOne does meanwhile, samples with unsaved edits keep them.

    Edits of fields that are gone afterwards go with them: saving those would leave the dataset with
    a field that its schema does not know, and FiftyOne cannot read such a sample.
    """
    instances = fo.Sample._instances[dataset._sample_collection_name]
    edited = [sample for sample in _held(dataset) if _edited(sample)]
    for sample in edited:
        del instances[sample.id]
    try:
        yield
    finally:
        schema = dataset.get_field_schema()
        for sample in edited:
            for name in [name for name in sample.field_names if name not in schema]:
                _forget(sample, name)
            instances[sample.id] = sample


def _held(dataset: fo.Dataset) -> list[fo.Sample]:
    return list(fo.Sample._instances[dataset._sample_collection_name].values())


def _edited(sample: fo.Sample) -> set[str]:
    """Names of the fields with unsaved edits."""
    return {path.partition(".")[0] for path in sample._doc._get_changed_fields()}


def _forget(sample: fo.Sample, name: str) -> None:
    document = sample._doc
    document._data.pop(name, None)
    kept = [path for path in document._changed_fields if path.partition(".")[0] != name]
    document._changed_fields = kept
