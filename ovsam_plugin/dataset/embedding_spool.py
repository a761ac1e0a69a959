"""Embeddings of samples that are being labelled, kept in the database until their run ends.

A run that is killed loses none of them: the next call of the same run finds them here. FiftyOne
removes them together with the dataset.
"""

from __future__ import annotations

from collections.abc import Iterator

import fiftyone as fo
import numpy as np
import numpy.typing as npt
from fiftyone.operators.store import ExecutionStore

from ovsam_plugin.dataset.embeddings import Embeddings, join
from ovsam_plugin.instances import Instances

# A document holds 16 MB.
_ROWS_A_KEY = 1000
# Samples gathered at once.
_SAMPLES = 2000


class EmbeddingSpool:
    """The spool of one label field.

    Args:
        dataset: that is labelled.
        field: the label field.
    """

    def __init__(self, dataset: fo.Dataset, field: str) -> None:
        self._store = ExecutionStore.create(f"ovsam_embeddings_{field}", dataset_id=dataset._doc.id)

    def put(self, sample_id: str, detections: fo.Detections, instances: Instances) -> None:
        """Keeps the embeddings of a sample's labels; those with an empty mask have none.

        Args:
            sample_id: the sample's.
            detections: its N labels.
            instances: what they were made from, in the same order.
        """
        solid = np.flatnonzero(~instances.empty)
        label_ids = [detections.detections[i].id for i in solid]
        vectors = join(instances.head_embeddings[solid], instances.clip_embeddings[solid])
        for part, start in enumerate(range(0, len(solid), _ROWS_A_KEY)):
            rows = slice(start, start + _ROWS_A_KEY)
            value = {"labels": label_ids[rows], "vectors": vectors[rows].tobytes()}
            self._store.set(f"{sample_id}.{part}", value)

    def __iter__(self) -> Iterator[Embeddings]:
        """All that was put, some samples at a time."""
        keys = self._store.list_keys()
        for start in range(0, len(keys), _SAMPLES):
            found = [(key, self._store.get(key)) for key in keys[start : start + _SAMPLES]]
            parts = [(key, value) for key, value in found if value]
            if parts:
                yield _gather(parts)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was put; no embedding is read."""
        return not self._store.list_keys()

    def clear(self) -> None:
        """Forgets everything."""
        self._store.clear()


def _gather(parts: list[tuple[str, dict[str, object]]]) -> Embeddings:
    label_ids: list[str] = []
    sample_ids: list[str] = []
    vectors: list[npt.NDArray[np.float32]] = []
    for key, value in parts:
        labels, raw = value["labels"], value["vectors"]
        assert isinstance(labels, list)
        assert isinstance(raw, bytes)
        label_ids += labels
        sample_ids += [key.partition(".")[0]] * len(labels)
        vectors.append(np.frombuffer(raw, np.float32).reshape(len(labels), -1))
    return Embeddings(np.array(label_ids), np.array(sample_ids), np.concatenate(vectors))
