"""Instances by words and by likeness."""

from __future__ import annotations

import fiftyone as fo
import numpy as np
import pytest

from ovsam_plugin import label_dataset
from ovsam_plugin.curation.search import search
from ovsam_plugin.dataset import embedding_index

from ..dataset.test_embedding_index import ids
from .conftest import NAMES, SMALL


def test_words_give_the_nearest_instances_with_their_cosines(named: fo.Dataset) -> None:
    view = search(named, "a cat", k=4)
    kept = embedding_index.load(named, "ovsam")
    words = embedding_index.opened(named, "ovsam").get_model().embed_prompts(["a cat"])[0]
    cosines = kept.vectors @ words
    order = np.argsort(-cosines)[:4]
    assert view.values("id") == kept.label_ids[order].tolist()
    assert np.allclose(view.values("ovsam.search_score"), cosines[order], atol=1e-5)
    assert view.first().filepath.endswith("chelsea.png")


def test_an_instance_is_nearest_to_itself(named: fo.Dataset) -> None:
    one = named.first()["ovsam"].detections[0].id
    view = search(named, one, k=2)
    assert view.values("id")[0] == one
    assert view.values("ovsam.search_score")[0] == pytest.approx(1, abs=1e-5)


def test_a_search_forgets_the_scores_of_the_one_before(named: fo.Dataset) -> None:
    search(named, "a cat", k=5)
    search(named, "a spoon", k=1)
    scores = named.values("ovsam.detections.search_score", unwind=True)
    assert sum(score is not None for score in scores) == 1


def test_a_view_is_searched_alone_and_what_is_gone_is_not_found(named: fo.Dataset) -> None:
    view = named.limit(1)
    found = search(view, "a spoon", k=3)
    assert set(found.values("sample_id")) == {named.first().id}
    gone = named.first().id
    named.delete_samples([gone])
    found = search(named, "a cat", k=9)
    assert set(found.values("id")) == ids(named)


def test_what_cannot_be_searched_is_a_clear_error(named: fo.Dataset) -> None:
    with pytest.raises(ValueError, match="a search needs words"):
        search(named, "  ")
    with pytest.raises(ValueError, match="at least 1, got 0"):
        search(named, "cat", k=0)
    with pytest.raises(ValueError, match="no instance with the id"):
        search(named, "0" * 24)
    with pytest.raises(ValueError, match="no labelling run filled field 'asks'"):
        search(named, "cat", pred_field="asks")


def test_patches_and_labels_without_embeddings_are_refused_and_nothing_is_cleared(
    named: fo.Dataset,
) -> None:
    view = search(named, "a cat", k=4)
    for patches in (view, named.to_patches("ovsam")):
        with pytest.raises(ValueError, match="holds copies, made from"):
            search(patches, "a cup")
    assert (
        sum(s is not None for s in named.values("ovsam.detections.search_score", unwind=True)) == 4
    )
    for sample in named.iter_samples(autosave=True):
        box = fo.Detection(label="drawn", bounding_box=[0, 0, 1, 1])
        sample["ovsam"] = fo.Detections(detections=[box])
    with pytest.raises(ValueError, match="no label of field 'ovsam' has an embedding here"):
        search(named, "a cup")


def test_a_field_whose_embeddings_were_not_kept_can_get_them(named: fo.Dataset) -> None:
    settings = {"vocabulary": NAMES, "box_field": "asks", "label_field": "plain", **SMALL}
    label_dataset(named, embeddings=False, **settings)
    ids = named.values("plain.detections.id")
    with pytest.raises(ValueError, match="label again with the settings of that run"):
        search(named, "a cat", pred_field="plain")
    label_dataset(named, embeddings=True, **settings)
    assert named.values("plain.detections.id") == ids
    assert len(search(named, "a cat", pred_field="plain", k=4)) == 4


def test_unsaved_edits_of_samples_in_memory_stay(named: fo.Dataset) -> None:
    sample = named.first()
    sample.tags.append("mine")
    sample["ovsam"].detections[0].label = "tabby"
    search(named, "a cat", k=9)
    assert sample.tags == ["mine"]
    assert sample["ovsam"].detections[0].label == "tabby"
    sample.save()
    assert named.count("ovsam.detections.search_score") == 9


def test_a_read_only_score_is_a_clear_error(named: fo.Dataset) -> None:
    search(named, "a cat", k=1)
    field = named.get_field("ovsam.detections.search_score")
    field.read_only = True
    field.save()
    with pytest.raises(ValueError, match="search_score' is read-only"):
        search(named, "a cup", k=1)
