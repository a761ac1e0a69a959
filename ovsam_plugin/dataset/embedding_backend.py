"""The similarity index in FiftyOne's database: stored as FiftyOne's own, searched by ours.

What is stored is a run of FiftyOne's `sklearn` backend, config and results, so that a dataset
opens, is searched, exported and cloned where this package is missing. Where it is not, its class
takes the place of FiftyOne's for such a run from when one is first opened or the App loads the
plugin (`answer_searches`), for what was measured on FiftyOne's (fiftyone 1.22,
brain 0.25, vectors of 768 numbers): it writes number by number (20,000 vectors take 20 s and
300 MB; here 1.6 s and 169 MB), shifts the vectors in place when it is first asked for neighbours
of an id, and builds a matrix of all pairs for that question (14,000 instances: 21 s and 3.8 GB;
here 0.01 s).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import fiftyone as fo
import numpy as np
import numpy.typing as npt
from fiftyone.brain.internal.core.sklearn import (
    NeighborsHelper,
    SklearnSimilarity,
    SklearnSimilarityConfig,
    SklearnSimilarityIndex,
)

from ovsam_plugin.dataset import vector_text

# The key of a run's `results_meta` under which our own layout of its results is told. FiftyOne
# empties `results_meta` whenever it writes results itself, and copies both for a clone.
_LAYOUT = "ovsam_vectors"
_STORED_CLASS = "fiftyone.brain.internal.core.sklearn.SklearnSimilarityIndex"
_TOGETHER: Mapping[str | None, Callable[..., Any]] = {
    "post-mean": np.mean,
    "post-min": np.min,
    "post-max": np.max,
}
_UNIT = 1e-3


class EmbeddingSimilarityIndex(SklearnSimilarityIndex):  # type: ignore[misc]
    """The vectors, and the exact search in them.

    Every vector is of unit length and float32; a query answers with `1 - cosine` as distance.
    """

    _neighbors_helper: Any

    @property
    def cls(self) -> str:
        """What FiftyOne stores as the class of these results: its own."""
        return _STORED_CLASS

    def save(self) -> None:
        """Stores the vectors; those stored before go only when the new ones are there."""
        dataset, document = self.samples._root_dataset, _document(self.samples, self.key)
        self.config.center = _center(self._embeddings)
        results = document.results
        before = results.grid_id
        results.grid_id = None
        results.new_file(content_type="application/json")
        head, shape = self._head(), self._embeddings.shape
        results.write(head)
        for text in vector_text.encode(self._embeddings):
            results.write(text)
        results.write(b"}")
        results.close()
        document.results_meta = {_LAYOUT: {"head": len(head), "shape": list(shape)}}
        document.config = self.config.serialize()
        document.save()
        if before is not None:
            results.fs.delete(before)
        dataset._brain_cache.pop(self.key, None)

    def _head(self) -> bytes:
        """All but the vectors, up to where these begin."""
        ids = {"sample_ids": self._sample_ids.tolist(), "label_ids": self._label_ids.tolist()}
        return json.dumps({"cls": self.cls, **ids})[:-1].encode() + b', "embeddings": '

    @classmethod
    def _from_dict(
        cls, d: dict[str, Any], samples: Any, config: Any, brain_key: str
    ) -> EmbeddingSimilarityIndex:
        """Results as FiftyOne wrote them, or as versions before 0.2 did."""
        if "packed" in d:
            vectors = np.frombuffer(base64.b64decode(d["packed"]), np.float32)
        else:
            vectors = np.array(d["embeddings"], np.float32)
        vectors = vectors.reshape(len(d["label_ids"]), -1 if len(d["label_ids"]) else 0)
        vectors = _unshifted(vectors, config, brain_key)
        return _index(samples, config, brain_key, vectors, d["sample_ids"], d["label_ids"])

    def _get_neighbors(self, *args: Any, **kwargs: Any) -> Any:
        if self._neighbors_helper is None:  # it shifts what it is given
            self._neighbors_helper = NeighborsHelper(self._embeddings.copy(), self.config.metric)
        return super()._get_neighbors(*args, **kwargs)

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
        if aggregation == "mean":
            rows = rows.mean(axis=0, keepdims=True)
        distances: Iterator[npt.NDArray[np.float32]] = map(self._distances, rows)
        if aggregation in _TOGETHER:
            distances = iter([_TOGETHER[aggregation](list(distances), axis=0)])
        best = [_nearest(d, k, reverse) for d in distances]
        samples = [self.current_sample_ids[inds].tolist() for inds, _ in best]
        labels = [self.current_label_ids[inds].tolist() for inds, _ in best]
        found = [values.tolist() for _, values in best]
        answer = (samples, labels, found) if return_dists else (samples, labels)
        one = single or aggregation is not None
        return tuple(column[0] for column in answer) if one else answer

    def _distances(self, query: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
        """From a vector to those in the current view."""
        unit = (query / max(float(np.linalg.norm(query)), 1e-12)).astype(np.float32)
        cosines: npt.NDArray[np.float32] = self._embeddings @ unit
        return 1 - (cosines if self._current_inds is None else cosines[self._current_inds])


class EmbeddingSimilarityConfig(SklearnSimilarityConfig):  # type: ignore[misc]
    """The configuration that versions before 0.2 stored; FiftyOne finds it by its name."""

    @property
    def method(self) -> str:
        return "ovsam"


class EmbeddingSimilarity(SklearnSimilarity):  # type: ignore[misc]
    """The brain method of such a run, which FiftyOne finds by its name too."""


def answer_searches() -> None:
    """What FiftyOne itself loads of a run of ours, as its search panel does, is of our class from
    now on in this process; called again, nothing changes."""
    stored = SklearnSimilarityIndex._from_dict.__func__
    if getattr(stored, "answers_for_ovsam", False):
        return

    def from_dict(cls: Any, d: dict[str, Any], samples: Any, config: Any, brain_key: str) -> Any:
        if cls is SklearnSimilarityIndex and hasattr(config, "center"):
            return EmbeddingSimilarityIndex._from_dict(d, samples, config, brain_key)
        return stored(cls, d, samples, config, brain_key)

    from_dict.answers_for_ovsam = True  # type: ignore[attr-defined]
    SklearnSimilarityIndex._from_dict = classmethod(from_dict)


def create(
    dataset: fo.Dataset,
    field: str,
    key: str,
    model: str,
    model_kwargs: dict[str, Any] | None = None,
) -> EmbeddingSimilarityIndex:
    """Registers an empty index over a label field.

    Args:
        dataset: the labels' dataset.
        field: the label field.
        key: the brain run's.
        model: the zoo name of the model that reads the words of a search.
        model_kwargs: what that model is loaded with.
    """
    answer_searches()
    config = _config(field, model, model_kwargs)
    config.build().register_run(dataset, key)
    return _index(dataset, config, key, np.empty((0, 0), np.float32), [], [])


def load(dataset: fo.Dataset, key: str) -> Any:
    """A similarity index as it is stored now.

    Args:
        dataset: which has the run.
        key: the brain run's.

    Returns:
        an `EmbeddingSimilarityIndex`, whoever wrote what is stored, or FiftyOne's own index where
        the vectors are not in the database; None where nothing was stored yet, as by a call that
        was killed.

    Raises:
        ValueError: there is no such run, or its vectors have been changed.
    """
    answer_searches()
    document = _document(dataset, key)
    layout = document.results_meta.get(_LAYOUT)
    if layout:
        config = dataset.get_brain_info(key).config
        text = document.results.get()
        ids = json.loads(text.read(layout["head"]).rpartition(b",")[0] + b"}")
        vectors = vector_text.decode(text, tuple(layout["shape"]))
        return _index(dataset, config, key, vectors, ids["sample_ids"], ids["label_ids"])
    # Not FiftyOne's cached copy: another process may have written since.
    index = dataset.load_brain_results(key, cache=False)
    if index is not None and isinstance(index.config, EmbeddingSimilarityConfig):
        index._config = _config(index.config.patches_field, index.config.model, None)
    return index


def _config(field: str, model: str, model_kwargs: dict[str, Any] | None) -> SklearnSimilarityConfig:
    return SklearnSimilarityConfig(
        model=model,
        model_kwargs=model_kwargs,
        patches_field=field,
        supports_prompts=True,
        # Stands for "one of ours" too.
        center=None,
    )


def _index(
    dataset: Any,
    config: Any,
    key: str,
    vectors: npt.NDArray[np.float32],
    sample_ids: Any,
    label_ids: Any,
) -> EmbeddingSimilarityIndex:
    return EmbeddingSimilarityIndex(
        dataset,
        config,
        key,
        embeddings=vectors,
        sample_ids=np.array(sample_ids, dtype=np.str_),
        label_ids=np.array(label_ids, dtype=np.str_),
    )


def _document(dataset: Any, key: str) -> Any:
    """The run's own document as the database has it now; another process may have written it.

    Raises:
        ValueError: there is none.
    """
    document = SklearnSimilarity._get_run_doc(dataset, key)
    try:
        document.reload()
    except document.DoesNotExist as error:
        raise ValueError(f"the brain run {key!r} has been deleted meanwhile") from error
    # mongoengine leaves the file with the copy that it read, and would not notice a new one.
    document.results.instance = document
    return document


def _center(vectors: npt.NDArray[np.float32]) -> list[float] | None:
    return vectors.mean(axis=0, dtype=np.float64).tolist() if len(vectors) else None


def _unshifted(vectors: npt.NDArray[np.float32], config: Any, key: str) -> npt.NDArray[np.float32]:
    """Vectors of unit length, their mean put back where FiftyOne took it off.

    It does so in place when it is asked for neighbours of an id, and an export from the same
    process takes them along like that.

    Raises:
        ValueError: they are of another length, with the mean or without.
    """
    center = getattr(config, "center", None)
    for mean in (0, center):
        if mean is None:
            continue
        moved: npt.NDArray[np.float32] = (vectors + np.asarray(mean)).astype(np.float32)
        if np.allclose(np.linalg.norm(moved, axis=1), 1, atol=_UNIT):
            return moved
    raise ValueError(
        f"the vectors of brain run {key!r} are no longer those that were stored: delete the run, "
        "and label again with overwrite=True and embeddings=True"
    )


def _nearest(
    distances: npt.NDArray[np.float32], k: int | None, reverse: bool
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Indices and distances, nearest first, or farthest first."""
    order = -distances if reverse else distances
    if k is not None and k < len(order):
        best = np.argpartition(order, k)[:k]
        best = best[np.argsort(order[best], kind="stable")]
    else:
        best = np.argsort(order, kind="stable")
    return best, distances[best]
