"""Embeddings of samples that are being labelled, kept in the database until they are filed.

A run that is killed loses none of them: the next call of the same run finds them here. FiftyOne
removes them together with the dataset.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import fiftyone as fo
import numpy as np
import numpy.typing as npt

from ovsam_plugin.dataset.embeddings import StoredEmbeddings
from ovsam_plugin.dataset.store import Store

# A document holds 16 MB.
_ROWS_A_KEY = 1000
# Keys read at once.
_KEYS = 2000


class EmbeddingSpool:
    """The spool of one label field.

    What is put is never changed: two that label one sample at once put rows of their own, of which
    those are filed whose labels are there in the end.

    Args:
        dataset: that is labelled.
        field: the label field.
    """

    def __init__(self, dataset: fo.Dataset, field: str) -> None:
        self._store = Store(dataset, f"ovsam_embeddings_{field}")

    def put(
        self,
        worker: str,
        sample_id: str,
        label_ids: Sequence[str],
        vectors: npt.NDArray[np.float32],
    ) -> None:
        """Keeps the embeddings of labels that are written to their sample next.

        Args:
            worker: who writes them.
            sample_id: the sample's.
            label_ids: N ids.
            vectors: (N, 2 D) float32, as in `StoredEmbeddings`.
        """
        for start in range(0, len(label_ids), _ROWS_A_KEY):
            rows = slice(start, start + _ROWS_A_KEY)
            value = {"labels": list(label_ids[rows]), "vectors": vectors[rows].tobytes()}
            self._store.put(f"{sample_id}.{label_ids[start]}.{worker}", value)

    def keys(self) -> list[str]:
        """What was put, in the order of the samples; no embedding is read."""
        return self._store.keys()

    def read(self, keys: Sequence[str]) -> Iterator[tuple[list[str], StoredEmbeddings]]:
        """The embeddings under these keys, some at a time, each with its own key."""
        for start in range(0, len(keys), _KEYS):
            some = self._store.items(keys[start : start + _KEYS])
            if found := [(key, value) for key, value in some if value["labels"]]:
                yield [key for key, value in found for _ in value["labels"]], _gather(found)

    def __iter__(self) -> Iterator[StoredEmbeddings]:
        """All that was put, some samples at a time."""
        return (part for _, part in self.read(self.keys()))

    def forget(self, keys: Iterable[str]) -> None:
        """Forgets what was filed."""
        self._store.drop(keys)

    def clear(self) -> None:
        """Forgets everything."""
        self._store.clear()


def sample_of(key: str) -> str:
    """The sample that a key's embeddings are of."""
    return key.partition(".")[0]


def worker_of(key: str) -> str:
    """Who put what is under a key; empty in what an earlier version put."""
    parts = key.split(".")
    return parts[2] if len(parts) == 3 else ""


def _gather(parts: Sequence[tuple[str, dict[str, object]]]) -> StoredEmbeddings:
    label_ids: list[str] = []
    sample_ids: list[str] = []
    vectors: list[npt.NDArray[np.float32]] = []
    for key, value in parts:
        labels, raw = value["labels"], value["vectors"]
        assert isinstance(labels, list)
        assert isinstance(raw, bytes)
        label_ids += labels
        sample_ids += [sample_of(key)] * len(labels)
        vectors.append(np.frombuffer(raw, np.float32).reshape(len(labels), -1))
    return StoredEmbeddings(np.array(label_ids), np.array(sample_ids), np.concatenate(vectors))
