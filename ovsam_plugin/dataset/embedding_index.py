"""The similarity run `<field>_similarity`: a labelling run's embeddings, kept once.

Search, relabelling, the unknown and the outliers all read it, and FiftyOne's own Similarity Search
panel answers from it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import fiftyone as fo
import fiftyone.brain as fob
import numpy as np

from ovsam_plugin.dataset import embedding_backend, lance_table, runs, zoo_source
from ovsam_plugin.dataset.database import patiently
from ovsam_plugin.dataset.embedder import Embedder
from ovsam_plugin.dataset.embedding_spool import EmbeddingSpool, sample_of, worker_of
from ovsam_plugin.dataset.embeddings import StoredEmbeddings
from ovsam_plugin.dataset.handles import as_stored
from ovsam_plugin.dataset.internals import brain_document, sample_documents
from ovsam_plugin.dataset.workers import Worker

logger = logging.getLogger(__name__)

BACKENDS = ("database", "lancedb")
# FiftyOne keeps the database's own index as text: 100,000 instances take gigabytes to load.
_DATABASE_LIMIT = 50_000
_NOT_KEPT = (
    "the embeddings of field {field!r} are not kept: label again with the settings of that run, "
    "keeping embeddings (embeddings=True), which makes them and leaves the labels as they are"
)


def index_key(field: str) -> str:
    """The similarity run that goes with a label field."""
    return f"{field}_similarity"


def key_of(dataset: fo.Dataset, field: str) -> str | None:
    """The similarity run of that name, where there is one and it is ours."""
    key = index_key(field)
    if not dataset.has_brain_run(key):
        return None
    return key if zoo_source.reads_words(brain_document(dataset, key).config.get("model")) else None


def check_possible(
    dataset: fo.Dataset, field: str, embedder: Embedder, backend: str | None = None
) -> None:
    """Before hours of labelling, whether its embeddings can be filed after it.

    Raises:
        ValueError: LanceDB is asked for and not set up, or the backend is unknown; or FiftyOne's
            model zoo cannot be given the model that answers searches in words; or somebody else's
            similarity run has the name.
    """
    _check_backend(backend or "database")
    _check_free(dataset, field)
    _offer_model(embedder)


def refresh(
    dataset: fo.Dataset,
    field: str,
    embedder: Embedder,
    backend: str | None = None,
    *,
    worker: Worker | None = None,
    lost: dict[str, list[str]] | None = None,
) -> int:
    """Brings the index in line with the labels: adds what is spooled, drops what is gone.

    One call at a time does it. What is filed leaves the spool; what others spooled for labels that
    they have not written yet stays there for them.

    Args:
        dataset: the labels' dataset.
        field: a field that `label_dataset` filled.
        embedder: that made the embeddings; its text tower answers searches.
        backend: "database" (exact, in FiftyOne's own), or "lancedb" (for millions of instances);
            None chooses by size. An index that is there keeps its own.
        worker: who calls, when it is at work already.
        lost: is filled with the labels of the run that have a mask and no embedding, by sample id:
            they came from another dataset, or were made without keeping embeddings.

    Returns:
        how many instances it holds.

    Raises:
        ValueError: LanceDB is asked for and not set up.
    """
    if worker is None:
        with Worker(dataset, field) as alone:
            return refresh(dataset, field, embedder, backend, worker=alone, lost=lost)
    with worker.lease(f"the embeddings of field {field!r}"):
        known, missing = patiently(
            lambda: _refresh(as_stored(dataset), field, embedder, backend, worker)
        )
    if lost is not None:
        lost.update(missing)
    return known


def _refresh(
    dataset: fo.Dataset, field: str, embedder: Embedder, backend: str | None, worker: Worker
) -> tuple[int, dict[str, list[str]]]:
    spool = EmbeddingSpool(dataset, field)
    # In this order: the labels of a writer that is done by now are there when they are read.
    keys = spool.keys()
    writers = {worker_of(key) for key in keys}
    done = {token for token in writers if token == worker.token or not worker.is_alive(token)}
    owners, solid = _labels(dataset, field)
    index = _open(dataset, field)
    known: set[str] = set()
    if index is None and owners and keys:
        index = _create(dataset, field, embedder, backend or _fitting(len(owners)))
    filed = {key for key in keys if worker_of(key) in done}
    if index is not None:

        def fresh() -> Iterator[StoredEmbeddings]:
            seen: set[str] = set()
            for row_keys, part in spool.read(keys):
                rows = list(zip(row_keys, part.label_ids.tolist()))
                filed.update(key for key, label_id in rows if label_id in owners)
                new = {i: n for n, (_, i) in enumerate(rows) if i in owners and i not in seen}
                seen.update(new)
                yield part[np.array(list(new.values()), dtype=np.int64)]

        known = _rewrite(index, fresh(), owners)
    spool.forget(filed)
    in_work = {sample_of(key) for key in keys if key not in filed}
    lost: dict[str, list[str]] = {}
    for label_id in solid:
        if label_id not in known and owners[label_id] not in in_work:
            lost.setdefault(owners[label_id], []).append(label_id)
    return len(known), lost


def _labels(dataset: fo.Dataset, field: str) -> tuple[dict[str, str], list[str]]:
    """Samples by the ids of all labels that go with the index, and those of the run with a mask.

    A relabelled field may hold labels that the run's own has no more.
    """
    owners: dict[str, str] = {}
    solid: list[str] = []
    for name in (field, *runs.sharers(dataset, field)):
        if dataset.get_field(name) is None:
            continue
        path = f"{name}.detections"
        wanted = {
            "label": f"${path}._id",
            "made": {"$gt": [f"${path}.prompt_type", None]},
            "solid": {"$gt": [{"$ifNull": [f"${path}.mask", f"${path}.mask_path"]}, None]},
        }
        unwound = {"$unwind": f"${path}"}
        for row in sample_documents(dataset).aggregate([unwound, {"$project": wanted}]):
            label_id = str(row["label"])
            owners[label_id] = str(row["_id"])
            if name == field and row["made"] and row["solid"]:
                solid.append(label_id)
    return owners, solid


def load(dataset: fo.Dataset, field: str) -> StoredEmbeddings:
    """The embeddings of a run's labels, or of those that a relabelled run was made from.

    Those of labels whose box or mask somebody has changed since are among them: see `edits`.

    Raises:
        ValueError: no run of ours filled the field, or its embeddings were not kept.
    """
    index = _open(dataset, runs.source_field(dataset, field))
    if index is None:
        raise ValueError(_NOT_KEPT.format(field=field))
    _check_maker(dataset, field, index)
    return _read(index)


def pick(dataset: fo.Dataset, field: str, label_ids: Sequence[str]) -> StoredEmbeddings:
    """Embeddings of some labels, those that have none left out; quick once the index is loaded.

    Raises:
        ValueError: as for `load`.
    """
    index = opened(dataset, field)
    if index.config.method == "lancedb":
        return lance_table.rows(index, label_ids)
    kept = _kept(index)
    rows = kept.rows(label_ids)
    return kept[rows[rows >= 0]]


def opened(dataset: fo.Dataset, field: str) -> Any:
    """FiftyOne's similarity index of a run, loaded once while it stays as it is.

    Raises:
        ValueError: as for `load`.
    """
    key = key_of(dataset, runs.source_field(as_stored(dataset), field))
    index = None if key is None else _opened(dataset.name, key, _stamp(dataset, key))
    if index is None:
        raise ValueError(_NOT_KEPT.format(field=field))
    _check_maker(dataset, field, index)
    if index.config.method == "lancedb" and index.table is not None:
        index.table.checkout_latest()
    return index


def forget(dataset: fo.Dataset, field: str) -> None:
    """Removes the index and the spool of a field."""
    EmbeddingSpool(dataset, field).clear()
    key = key_of(dataset, field)
    if key is None:
        return
    # Vectors that the database itself holds go with the run, and are many to be read before.
    if dataset.get_brain_info(key).config.method == "lancedb":
        index = _open(dataset, field)
        if index is not None and not lance_table.is_shared(index):
            index.cleanup()
    dataset.delete_brain_run(key)


def _check_maker(dataset: fo.Dataset, field: str, index: Any) -> None:
    """That who made the embeddings is who the field was named by."""
    embedder = Embedder.of(runs.required(dataset, field))
    model, kwargs = embedder.text_model
    made_by = index.config.model_kwargs or {}
    if (index.config.model, made_by) == (model, kwargs or {}):
        return
    raise ValueError(
        f"the embeddings that are kept for field {field!r} were made by "
        f"{made_by.get('namer') or model}, and its names by {embedder.name}: the words of one "
        "cannot be compared with the embeddings of the other. Name the instances again, replacing "
        "existing labels (overwrite)"
    )


def _fitting(instances: int) -> str:
    if instances <= _DATABASE_LIMIT:
        return "database"
    if _lancedb_folder() is not None:
        return "lancedb"
    logger.warning(
        "%s instances are many for an index in the database: pip install "
        "'fiftyone-ovsam[lancedb]' and set FIFTYONE_BRAIN_SIMILARITY_LANCEDB_URI",
        f"{instances:,}",
    )
    return "database"


def _lancedb_folder() -> str | None:
    """Where LanceDB keeps its tables, if it is installed and has been told."""
    try:
        import lancedb  # noqa: F401
    except ImportError:
        return None
    uri = fob.brain_config.similarity_backends.get("lancedb", {}).get("uri")
    return None if uri is None else str(uri)


def _check_backend(backend: str) -> None:
    if backend not in BACKENDS:
        raise ValueError(f"unknown backend {backend!r}: allowed are {', '.join(BACKENDS)}")
    if backend == "lancedb" and _lancedb_folder() is None:
        raise ValueError(
            "LanceDB has to be installed (pip install 'fiftyone-ovsam[lancedb]') and told where to "
            "keep its tables (FIFTYONE_BRAIN_SIMILARITY_LANCEDB_URI=/folder/that/stays)"
        )


def _check_free(dataset: fo.Dataset, field: str) -> None:
    """That no similarity run of somebody else has the index's name."""
    key = index_key(field)
    if dataset.has_brain_run(key) and key_of(dataset, field) is None:
        raise ValueError(
            f"similarity run {key!r} was not made by this plugin, which keeps the embeddings of "
            f"field {field!r} by that name: rename it with dataset.rename_brain_run({key!r}, ...), "
            "choose another field, or keep no embeddings (embeddings=False)"
        )


def _create(dataset: fo.Dataset, field: str, embedder: Embedder, backend: str) -> Any:
    _check_backend(backend)
    _check_free(dataset, field)
    if key_of(dataset, field) is not None:  # of a call that was killed before it stored anything
        dataset.delete_brain_run(index_key(field))
    model, model_kwargs = _offer_model(embedder)
    if backend == "database":
        return embedding_backend.create(dataset, field, index_key(field), model, model_kwargs)
    return fob.compute_similarity(
        dataset,
        patches_field=field,
        embeddings=False,
        model=model,
        model_kwargs=model_kwargs,
        brain_key=index_key(field),
        backend=backend,
    )


def _offer_model(embedder: Embedder) -> tuple[str, dict[str, Any] | None]:
    """The model that answers searches in words, which FiftyOne can load after this."""
    model, model_kwargs = embedder.text_model
    if not zoo_source.offers(model):
        zoo_source.install()
    return model, model_kwargs


def _open(dataset: fo.Dataset, field: str) -> Any:
    """The index as it is stored now, or None where nothing is."""
    key = key_of(dataset, field)
    return None if key is None else embedding_backend.load(dataset, key)


@lru_cache(maxsize=2)
def _opened(dataset: str, key: str, stamp: str) -> Any:
    return embedding_backend.load(fo.load_dataset(dataset), key)


@lru_cache(maxsize=2)
def _kept(index: Any) -> StoredEmbeddings:
    """What an opened index holds; the arrays are the index's own."""
    return _read(index)


def _stamp(dataset: fo.Dataset, key: str) -> str:
    """What changes whenever an index is saved, by this process or another."""
    document = brain_document(dataset, key)
    return f"{document.timestamp}/{document.results.grid_id}"


def _read(index: Any) -> StoredEmbeddings:
    if index.config.method == "lancedb":
        return lance_table.rows(index)
    vectors, sample_ids, label_ids = index.get_embeddings()
    return StoredEmbeddings(label_ids, sample_ids, vectors)


def _rewrite(index: Any, fresh: Iterable[StoredEmbeddings], owners: Mapping[str, str]) -> set[str]:
    """Adds rows and drops those of labels that are gone; returns the labels that there are."""
    if index.config.method == "lancedb":
        return lance_table.rewrite(index, fresh, owners)
    known = set(index.label_ids.tolist())
    stale = [i for i in known if i not in owners]
    # At once: each addition copies all that is there.
    added = [part for part in fresh if len(part)]
    if stale:
        index.remove_from_index(label_ids=stale, reload=False)
    if added:
        rows = StoredEmbeddings(
            np.concatenate([part.label_ids for part in added]),
            np.concatenate([part.sample_ids for part in added]),
            np.concatenate([part.vectors for part in added]),
        )
        index.add_to_index(rows.vectors, rows.sample_ids, label_ids=rows.label_ids, reload=False)
    if stale or added:
        index.save()
    return set(index.label_ids.tolist())
