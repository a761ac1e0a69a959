"""The similarity backend that holds embeddings in FiftyOne's database.

FiftyOne's own `sklearn` backend, but for three things that were measured on it (fiftyone 1.22,
brain 0.25): it writes vectors as decimal text (20,000 of 768 numbers take 20 s and 300 MB), it
shifts them in place when it is first asked for neighbours of an id, so that what is read afterwards
is no longer what was stored, and it builds a matrix of all pairs for that question.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import numpy.typing as npt
from fiftyone.brain.internal.core.sklearn import (
    SklearnSimilarity,
    SklearnSimilarityConfig,
    SklearnSimilarityIndex,
)


class EmbeddingSimilarityConfig(SklearnSimilarityConfig):  # type: ignore[misc]
    """Configuration of the backend; FiftyOne finds the other two classes by this one's name."""

    @property
    def method(self) -> str:
        return "ovsam"

    @property
    def supported_aggregations(self) -> tuple[str, ...]:
        return ("mean",)


class EmbeddingSimilarity(SklearnSimilarity):  # type: ignore[misc]
    """The brain method."""

    def initialize(self, samples: Any, brain_key: str) -> EmbeddingSimilarityIndex:
        return EmbeddingSimilarityIndex(samples, self.config, brain_key, backend=self)


class EmbeddingSimilarityIndex(SklearnSimilarityIndex):  # type: ignore[misc]
    """The vectors, and the exact search in them.

    Every vector is of unit length and float32; a query answers with `1 - cosine` as distance.
    """

    def __init__(self, *args: Any, embeddings: Any = None, **kwargs: Any) -> None:
        if embeddings is None:  # a new index; the parent would look for them in a field
            embeddings = np.empty((0, 0), np.float32)
            kwargs = {**kwargs, "sample_ids": np.array([]), "label_ids": np.array([])}
        super().__init__(*args, embeddings=embeddings, **kwargs)

    @property
    def packed(self) -> str:
        """The vectors as text that JSON can hold."""
        return base64.b64encode(np.ascontiguousarray(self._embeddings, np.float32)).decode()

    @property
    def dim(self) -> int:
        """Length of a vector; 0 in an empty index."""
        return int(self._embeddings.shape[1])

    def attributes(self) -> list[str]:
        kept = [name for name in super().attributes() if name != "embeddings"]
        return [*kept, "packed", "dim"]

    @classmethod
    def _from_dict(
        cls, d: dict[str, Any], samples: Any, config: Any, brain_key: str
    ) -> EmbeddingSimilarityIndex:
        raw = np.frombuffer(base64.b64decode(d["packed"]), np.float32)
        return cls(
            samples,
            config,
            brain_key,
            embeddings=raw.reshape(len(d["label_ids"]), d["dim"]).copy(),
            sample_ids=np.array(d["sample_ids"]),
            label_ids=np.array(d["label_ids"]),
        )

    def _kneighbors(
        self,
        query: Any = None,
        k: int | None = None,
        reverse: bool = False,
        aggregation: str | None = None,
        return_dists: bool = False,
    ) -> Any:
        if query is None:
            raise ValueError("name what to search for: a text, an id, or a vector")
        rows, _, _, single = self._parse_neighbors_query(query)
        if aggregation is not None:
            rows, single = rows.mean(axis=0, keepdims=True), True
        found = [self._nearest(row, k, reverse) for row in rows]
        samples = [self.current_sample_ids[inds].tolist() for inds, _ in found]
        labels = [self.current_label_ids[inds].tolist() for inds, _ in found]
        distances = [values.tolist() for _, values in found]
        answer = (samples, labels, distances) if return_dists else (samples, labels)
        return tuple(column[0] for column in answer) if single else answer

    def _nearest(
        self, query: npt.NDArray[np.floating[Any]], k: int | None, reverse: bool
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Indices into the current view's vectors and their distances, nearest first."""
        unit = (query / max(float(np.linalg.norm(query)), 1e-12)).astype(np.float32)
        cosines = self._embeddings @ unit
        if self._current_inds is not None:
            cosines = cosines[self._current_inds]
        distances = 1 - cosines
        order = distances if not reverse else cosines
        if k is not None and k < len(order):
            best = np.argpartition(order, k)[:k]
            best = best[np.argsort(order[best], kind="stable")]
        else:
            best = np.argsort(order, kind="stable")
        return best, distances[best]
