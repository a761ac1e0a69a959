"""Instances by words, or by their likeness to another: no image is looked at again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import fiftyone as fo
import numpy as np
import numpy.typing as npt
from bson import ObjectId
from fiftyone import ViewField as F

from ovsam_plugin.curation import attributes
from ovsam_plugin.curation.label_table import LabelTable
from ovsam_plugin.dataset import embedding_index, runs, writing
from ovsam_plugin.dataset.embedder import Embedder
from ovsam_plugin.dataset.examples import run_vectors
from ovsam_plugin.dataset.fields import check_writable
from ovsam_plugin.dataset.internals import nearest
from ovsam_plugin.dataset.targets import Samples, all_images, root_dataset
from ovsam_plugin.recognition.prototypes import prototype, words_weigh
from ovsam_plugin.renaming import renamed
from ovsam_plugin.vocabulary.example import picture_example
from ovsam_plugin.vocabulary.vocabulary import Category

_PATH = "search_score"
# Results asked for beyond those wanted, since some may lie outside the view or be gone.
_SLACK = 32


@renamed(field="pred_field")
def search(
    samples: Samples,
    query: str | Sequence[str],
    *,
    pred_field: str = "ovsam",
    k: int = 25,
    device: str = "auto",
) -> fo.DatasetView:
    """The instances that fit best, best first, as patches.

    Each has its score in the attribute `search_score`: the mean of both branches' cosines, with
    the words' embedding, or with what the examples have in common. Those of an earlier search are
    removed, so its view is no more what it was once it is loaded again.

    Args:
        samples: a dataset or view of images.
        query: words such as "a red bus"; the name of a class of the run that has examples; the id
            of a label ("like this one") or "IMAGE:x1,y1,x2,y2", a box of an image file; or a list
            of these last two ("like all of these").
        pred_field: a field that `label_dataset` or `relabel_dataset` filled.
        k: how many, at least 1.
        device: where an image file is looked at.

    Returns:
        a view of patches.

    Raises:
        ValueError: there are no words, no such label or image, the field has no embeddings, none
            of these samples' labels has one, or a view of patches is given.
    """
    if k < 1:
        raise ValueError(f"k is how many instances to show, at least 1, got {k}")
    dataset = root_dataset(samples)
    index = embedding_index.opened(dataset, pred_field)
    samples = attributes.own_detections(samples, pred_field)
    check_writable(dataset, pred_field, (_PATH,))
    found = _nearest(
        samples, index, _asked(dataset, pred_field, index, query, device), pred_field, k
    )
    if not found and samples.count(f"{pred_field}.detections"):
        raise ValueError(
            f"no label of field {pred_field!r} has an embedding here: the labels were made by "
            "hand, or made again since. Naming or relabelling them makes new ones"
        )
    if dataset.get_field(f"{pred_field}.detections.{_PATH}") is None:
        attributes.declare(dataset, pred_field)
    _write_scores(dataset, pred_field, found)
    labels = [ObjectId(label_id) for label_id in found]
    owners = all_images(dataset).select(sorted({owner for owner, _ in found.values()}))
    view: fo.DatasetView = (
        owners.filter_labels(pred_field, F("_id").is_in(labels))
        .to_patches(pred_field)
        .sort_by(f"{pred_field}.{_PATH}", reverse=True)
    )
    return view


def _asked(
    dataset: fo.Dataset, field: str, index: Any, query: str | Sequence[str], device: str
) -> npt.NDArray[np.float32] | list[str]:
    """What to look near to: (2 D,) float32, or an id that the index knows."""
    if not isinstance(query, str):
        return _common(dataset, field, query, device)
    if not query.strip():
        raise ValueError('a search needs words, such as "a red bus", or the id of a label')
    if picture_example(query) is not None:
        return _common(dataset, field, [query], device)
    if (category := _by_example(dataset, field, query)) is not None:
        shown = _common(dataset, field, category.examples, device)
        if not category.words:
            return shown
        own = words_weigh(len(category.examples))
        words: npt.NDArray[np.float32] = index.get_model().embed_prompts([category.name])[0]
        return (1 - own) * shown + own * words
    if not ObjectId.is_valid(query):
        vector: npt.NDArray[np.float32] = index.get_model().embed_prompts([query])[0]
        return vector
    try:
        nearest(index, query=[query], k=1, aggregation="mean")
    except ValueError as error:
        raise ValueError(
            f"no instance with the id {query} has an embedding: it was not made by this run, or "
            "its mask is empty"
        ) from error
    return [query]


def _by_example(dataset: fo.Dataset, field: str, name: str) -> Category | None:
    """The class of that name in the run's vocabulary, if it has examples."""
    vocabulary = runs.recorded_vocabulary(dataset, field)
    place = None if vocabulary is None else vocabulary.find(name)
    if vocabulary is None or place not in vocabulary.by_example:
        return None
    assert place is not None
    return vocabulary.categories[place]


def _common(
    dataset: fo.Dataset, field: str, examples: Sequence[str], device: str
) -> npt.NDArray[np.float32]:
    """(2 D,) float32, what examples have in common."""
    if not examples:
        raise ValueError("a search by example needs at least one: the id of a label")
    embedder = Embedder.of(runs.required(dataset, field))
    found = run_vectors(dataset, examples, embedder, device)
    if len(found) < len(set(examples)):
        gone = next(example for example in examples if example not in found)
        raise ValueError(f"no label of the dataset has the id {gone!r}: choose another example")
    return prototype(np.stack(list(found.values())))


def _nearest(
    samples: Samples,
    index: Any,
    query: npt.NDArray[np.float32] | list[str],
    field: str,
    k: int,
) -> dict[str, tuple[str, float]]:
    """(sample id, cosine) by label id, of the nearest that are in these samples, best first."""
    total = int(index.total_index_size)
    asked = min(k + _SLACK, total)
    while True:
        owners, ids, distances = nearest(
            index, query=query, k=asked, aggregation="mean", return_dists=True
        )
        there = _present(samples, field, owners, ids)
        found = {
            label: (owner, 1 - distance)
            for owner, label, distance in zip(owners, ids, distances)
            if label in there
        }
        if len(found) >= k or asked == total:
            return dict(list(found.items())[:k])
        asked = min(asked * 4, total)


def _present(samples: Samples, field: str, owners: list[str], ids: list[str]) -> set[str]:
    """Those of the labels that are in these samples now."""
    rows = samples.select(sorted(set(owners))).values(f"{field}.detections.id")
    return {label for row in rows for label in row or ()}.intersection(ids)


def _write_scores(dataset: fo.Dataset, field: str, found: dict[str, tuple[str, float]]) -> None:
    scored = all_images(dataset).filter_labels(field, F(_PATH) != None)  # noqa: E711
    old = LabelTable.read(scored, field, ())
    values: list[tuple[str, str, dict[str, float | None]]] = [
        (str(owner), label, {_PATH: None})
        for owner, label in zip(old.samples, old.ids)
        if label not in found
    ]
    values += [(owner, label, {_PATH: score}) for label, (owner, score) in found.items()]
    # In the order of their samples: those of one change together.
    writing.set_attributes(dataset, field, sorted(values, key=lambda row: row[0]))
