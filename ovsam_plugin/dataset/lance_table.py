"""The LanceDB table behind a similarity run of millions of instances."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ovsam_plugin.dataset.embeddings import StoredEmbeddings
from ovsam_plugin.dataset.internals import database, dataset_id

# Rows from which LanceDB searches by clusters instead of one by one.
_CLUSTERED = 100_000


def rows(index: Any, label_ids: Sequence[str] | None = None) -> StoredEmbeddings:
    """The embeddings in an index's table: all, or those of some labels."""
    if index.table is None:
        return StoredEmbeddings(np.array([], str), np.array([], str), np.empty((0, 0), np.float32))
    if label_ids is None:
        table = index.table.to_arrow()
    else:
        where = _among(label_ids)
        table = index.table.search().where(where).limit(max(len(label_ids), 1)).to_arrow()
    width = table.schema.field("vector").type.list_size
    flat = table["vector"].combine_chunks().flatten().to_numpy()
    return StoredEmbeddings(
        np.array(table["id"].to_pylist()),
        np.array(table["sample_id"].to_pylist()),
        flat.reshape(len(table), width).astype(np.float32, copy=False),
    )


def rewrite(index: Any, fresh: Iterable[StoredEmbeddings], owners: Mapping[str, str]) -> set[str]:
    """Appends rows and drops those of labels that are gone.

    FiftyOne's own way of adding reads and writes the whole table.

    Args:
        index: FiftyOne's, of the method "lancedb".
        fresh: what to add.
        owners: sample ids by the ids of all labels that there are.

    Returns:
        the labels of the rows that there are.
    """
    import lancedb
    from lancedb.index import IvfFlat

    if is_shared(index):
        index = _with_own_table(index)
    database, name = lancedb.connect(index.config.uri), index.config.table_name
    table = index.table
    known: set[str] = set()
    if table is not None:
        listed = table.search().select(["id"]).limit(table.count_rows()).to_arrow()
        known = set(listed["id"].to_pylist())
        stale = sorted(known - owners.keys())
        known &= owners.keys()
        for start in range(0, len(stale), 1000):
            table.delete(_among(stale[start : start + 1000]))
    for part in fresh:
        new = part[np.array([i not in known for i in part.label_ids.tolist()], dtype=bool)]
        if not len(new):
            continue
        known.update(new.label_ids.tolist())
        added = _arrow(new)
        if table is None:
            table = database.create_table(name, added)
        else:
            table.add(added)
    if table is not None and table.count_rows() >= _CLUSTERED:
        # Whole vectors: with quantized ones, LanceDB's default, the scores are not cosines.
        table.create_index("vector", config=IvfFlat(distance_type=index.config.metric))
    return known


def is_shared(index: Any) -> bool:
    """Whether a clone of the dataset searches the same table outside of the database."""
    table = getattr(index.config, "table_name", None)
    others = {"config.table_name": table, "_dataset_id": {"$ne": dataset_id(index.samples)}}
    return table is not None and database().runs.count_documents(others, limit=1) > 0


def _with_own_table(index: Any) -> Any:
    """The index on a copy of its table, which it can change without changing a clone's."""
    import lancedb

    dataset, name = index.samples, f"{index.config.table_name}-{dataset_id(index.samples)}"
    if index.table is not None:
        every = index.table.search().limit(index.table.count_rows()).to_batches()
        lancedb.connect(index.config.uri).create_table(name, every, mode="overwrite")
    index.config.table_name = name
    index.save_config()
    dataset.clear_cache()
    return dataset.load_brain_results(index.key, cache=False)


def _among(label_ids: Sequence[str]) -> str:
    return "id IN ({})".format(", ".join(f"'{i}'" for i in label_ids) or "''")


def _arrow(part: StoredEmbeddings) -> Any:
    import pyarrow as pa

    width = part.vectors.shape[1]
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(part.vectors.ravel()), width)
    ids, samples = pa.array(part.label_ids.tolist()), pa.array(part.sample_ids.tolist())
    return pa.Table.from_arrays([ids, samples, vectors], names=["id", "sample_id", "vector"])
