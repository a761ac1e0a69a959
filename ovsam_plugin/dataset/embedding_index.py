"""The similarity run `<field>_similarity`: a labelling run's embeddings, kept once.

Search, relabelling, the unknown and the outliers all read it, and FiftyOne's own Similarity Search
panel answers from it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import fiftyone as fo
import fiftyone.brain as fob
import fiftyone.zoo as foz
import numpy as np

from ovsam_plugin.dataset import lance_table, outlines, runs, zoo
from ovsam_plugin.dataset.embedding_backend import EmbeddingSimilarityConfig
from ovsam_plugin.dataset.embedding_spool import EmbeddingSpool
from ovsam_plugin.dataset.embeddings import Embeddings
from ovsam_plugin.dataset.targets import all_images
from ovsam_plugin.dataset.text_model import text_model_name

logger = logging.getLogger(__name__)

BACKENDS = ("database", "lancedb")
# Above this the database's own index takes gigabytes of memory to load.
_DATABASE_LIMIT = 300_000
_NOT_KEPT = (
    "the embeddings of field {field!r} are not kept: label it again with overwrite=True and "
    "embeddings=True"
)


def index_key(field: str) -> str:
    """The similarity run that goes with a label field."""
    return f"{field}_similarity"


def check_possible(preset: str, backend: str | None = None) -> None:
    """Before hours of labelling, whether its embeddings can be filed after it.

    Raises:
        ValueError: LanceDB is asked for and not set up, or the backend is unknown; or FiftyOne's
            model zoo cannot be given the model that answers searches in words.
    """
    _check_backend(backend or "database")
    _offer_model(preset)


def refresh(dataset: fo.Dataset, field: str, preset: str, backend: str | None = None) -> int:
    """Brings the index in line with the labels: adds what is spooled, drops what is gone.

    Args:
        dataset: the labels' dataset.
        field: a field that `label_dataset` filled.
        preset: that made the labels; its text tower answers searches.
        backend: "database" (exact, in FiftyOne's own), or "lancedb" (for millions of instances);
            None chooses by size. An index that is there keeps its own.

    Returns:
        how many instances it holds.

    Raises:
        ValueError: LanceDB is asked for and not set up.
    """
    spool = EmbeddingSpool(dataset, field)
    owners: dict[str, str] = {}
    # A relabelled field may hold labels that this one has no more.
    for name in (field, *runs.sharers(dataset, field)):
        sample_ids, label_ids = all_images(dataset).values(["id", f"{name}.detections.id"])
        owners |= {i: s for s, ids in zip(sample_ids, label_ids) for i in ids or ()}
    index = _open(dataset, field)
    if index is None:
        if not owners or spool.is_empty:
            return 0
        index = _create(dataset, field, preset, backend or _fitting(len(owners)))
    fresh = (part[np.isin(part.label_ids, list(owners))] for part in spool)
    count = _rewrite(index, _marked(dataset, field, fresh), owners)
    spool.clear()
    return count


def load(dataset: fo.Dataset, field: str) -> Embeddings:
    """The embeddings of a run's labels, or of those that a relabelled run was made from.

    Those of labels whose box or mask somebody has changed since are among them: see `outlines`.

    Raises:
        ValueError: no run of ours filled the field, or its embeddings were not kept.
    """
    index = _open(dataset, runs.source_field(dataset, field))
    if index is None:
        raise ValueError(_NOT_KEPT.format(field=field))
    return _read(index)


def pick(dataset: fo.Dataset, field: str, label_ids: Sequence[str]) -> Embeddings:
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
    key = index_key(runs.source_field(dataset, field))
    if not dataset.has_brain_run(key):
        raise ValueError(_NOT_KEPT.format(field=field))
    index = _opened(dataset.name, key, _stamp(dataset, key))
    if index.config.method == "lancedb" and index.table is not None:
        index.table.checkout_latest()
    return index


def forget(dataset: fo.Dataset, field: str) -> None:
    """Removes the index and the spool of a field."""
    EmbeddingSpool(dataset, field).clear()
    key = index_key(field)
    if dataset.has_brain_run(key):
        index = _open(dataset, field)
        if index is not None and not lance_table.is_shared(index):
            index.cleanup()
        dataset.delete_brain_run(key)


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


def _create(dataset: fo.Dataset, field: str, preset: str, backend: str) -> Any:
    _check_backend(backend)
    return fob.compute_similarity(
        dataset,
        patches_field=field,
        embeddings=False,
        model=_offer_model(preset),
        brain_key=index_key(field),
        backend=EmbeddingSimilarityConfig if backend == "database" else "lancedb",
    )


def _offer_model(preset: str) -> str:
    """The name of the model that answers searches in words, which FiftyOne can load after this."""
    model = text_model_name(preset)
    if model not in foz.list_zoo_models():
        zoo.install()
    return model


def _open(dataset: fo.Dataset, field: str) -> Any:
    """The index as it is stored now, or None."""
    key = index_key(field)
    if not dataset.has_brain_run(key):
        return None
    # Not FiftyOne's cached copy: another process may have written since.
    return dataset.load_brain_results(key, cache=False)


@lru_cache(maxsize=2)
def _opened(dataset: str, key: str, stamp: str) -> Any:
    return fo.load_dataset(dataset).load_brain_results(key, cache=False)


@lru_cache(maxsize=2)
def _kept(index: Any) -> Embeddings:
    """What an opened index holds; the arrays are the index's own."""
    return _read(index)


def _stamp(dataset: fo.Dataset, key: str) -> str:
    """What changes whenever an index is saved, by this process or another."""
    dataset._doc.reload()  # and not the samples: their holders may have edits that are not saved
    document = dataset._doc.get_brain_methods()[key]
    return f"{document.timestamp}/{document.results.grid_id}"


def _marked(dataset: fo.Dataset, field: str, parts: Iterable[Embeddings]) -> Iterator[Embeddings]:
    for part in parts:
        outlines.mark(dataset, field, zip(part.sample_ids.tolist(), part.label_ids.tolist()))
        yield part


def _read(index: Any) -> Embeddings:
    if index.config.method == "lancedb":
        return lance_table.rows(index)
    vectors, sample_ids, label_ids = index.get_embeddings()
    return Embeddings(label_ids, sample_ids, vectors)


def _rewrite(index: Any, fresh: Iterable[Embeddings], owners: dict[str, str]) -> int:
    """Adds rows and drops those of labels that are gone."""
    if index.config.method == "lancedb":
        return lance_table.rewrite(index, fresh, owners)
    kept = index.label_ids
    stale = [i for i in kept.tolist() if i not in owners]
    if stale:
        index.remove_from_index(label_ids=stale, reload=False)
    for part in fresh:
        index.add_to_index(part.vectors, part.sample_ids, label_ids=part.label_ids, reload=False)
    index.save()
    return int(index.total_index_size)
