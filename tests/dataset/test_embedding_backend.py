"""FiftyOne's own questions, answered from our index."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import numpy as np
import pytest

from ovsam_plugin import label_dataset
from ovsam_plugin.dataset import embedding_index

from .conftest import SMALL, ids


def test_fiftyones_own_text_search_answers_from_it(twice: fo.Dataset) -> None:
    label_dataset(twice, **SMALL)
    results = twice.load_brain_results("ovsam_similarity", cache=False)
    view = twice.to_patches("ovsam").sort_by_similarity(
        "a cat", k=3, brain_key="ovsam_similarity", dist_field="away"
    )
    kept = embedding_index.load(twice, "ovsam")
    words = results.get_model().embed_prompts(["a cat"])[0]
    away = 1 - kept.vectors @ words
    assert view.values("id") == kept.label_ids[np.argsort(away)[:3]].tolist()
    assert np.allclose(view.values("away"), np.sort(away)[:3], atol=1e-5)
    least = results.sort_by_similarity("a cat", k=1, reverse=True)
    assert least.values("ovsam.detections.id", unwind=True) == [kept.label_ids[away.argmax()]]


def test_asking_for_neighbours_of_an_instance_changes_nothing_that_is_kept(
    twice: fo.Dataset,
) -> None:
    label_dataset(twice, **SMALL)
    before = embedding_index.load(twice, "ovsam")
    results = twice.load_brain_results("ovsam_similarity")
    one = str(before.label_ids[0])
    nearest = results.sort_by_similarity(one, k=2)
    assert one in nearest.values("ovsam.detections.id", unwind=True)
    assert np.allclose(results.embeddings, before.vectors, atol=1e-7)
    results.find_duplicates(thresh=0.3)
    assert np.allclose(results.embeddings, before.vectors, atol=1e-7)
    results.save()
    assert np.allclose(embedding_index.load(twice, "ovsam").vectors, before.vectors, atol=1e-7)


@pytest.mark.parametrize("together", ["mean", "post-mean", "post-min", "post-max"])
def test_several_instances_are_asked_about_together_as_fiftyone_promises(
    twice: fo.Dataset, together: str
) -> None:
    label_dataset(twice, **SMALL)
    kept = embedding_index.load(twice, "ovsam")
    results = twice.load_brain_results("ovsam_similarity")
    asked = kept.vectors[[0, 3]]
    apart = 1 - asked @ kept.vectors.T
    mean = asked.mean(axis=0)
    away = {
        "mean": 1 - kept.vectors @ mean / np.linalg.norm(mean),
        "post-mean": apart.mean(axis=0),
        "post-min": apart.min(axis=0),
        "post-max": apart.max(axis=0),
    }[together]
    _, found, distances = results._kneighbors(
        query=kept.label_ids[[0, 3]].tolist(), k=4, aggregation=together, return_dists=True
    )
    assert np.allclose(distances, np.sort(away)[:4], atol=1e-5)
    assert np.allclose(away[kept.rows(found)], distances, atol=1e-5)


def test_vectors_that_something_else_changed_are_refused(twice: fo.Dataset) -> None:
    label_dataset(twice, **SMALL)
    results = twice.load_brain_results("ovsam_similarity")
    results._embeddings = results.embeddings * 2
    super(type(results), results).save()  # as FiftyOne does
    with pytest.raises(ValueError, match="'ovsam_similarity' are no longer those that were stored"):
        embedding_index.load(twice, "ovsam")


@pytest.mark.parametrize("backend", embedding_index.BACKENDS)
def test_an_index_that_was_opened_before_more_was_labelled_answers_from_all(
    twice: fo.Dataset, lance: dict[str, Any], backend: str
) -> None:
    settings = {**lance, "index_backend": backend}
    label_dataset(twice.limit(1), **settings)
    assert embedding_index.opened(twice, "ovsam").total_index_size == len(ids(twice))
    label_dataset(twice, **settings)
    index = embedding_index.opened(twice, "ovsam")
    assert index.total_index_size == len(ids(twice)) > 2
    found = index.sort_by_similarity("a cat", k=100).values("id")
    assert set(found) == set(twice.values("id"))
