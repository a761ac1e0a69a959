"""The embeddings of classes' examples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import fiftyone as fo
import numpy as np
import pytest

from ovsam_plugin.dataset import embedding_index
from ovsam_plugin.dataset.examples import adapter_of, vectors_of
from ovsam_plugin.namers import Branches, Masked
from ovsam_plugin.presets import get_preset
from ovsam_plugin.recognition.text_side import TextSide
from ovsam_plugin.vocabulary import load_vocabulary
from ovsam_plugin.vocabulary.example import with_examples


class Areas:
    """A namer whose embeddings tell how large each mask was; it notes what it was shown."""

    side: TextSide = get_preset("ovsam-lite")
    fingerprint = "areas"

    def __init__(self) -> None:
        self.shown: list[tuple[int, ...]] = []

    def embed(self, photographs: Sequence[Masked]) -> list[Branches]:
        found = []
        for photograph in photographs:
            self.shown += [crop.box for crop in photograph.crops]
            rows = np.zeros((len(photograph.crops), 384), np.float32)
            rows[:, 0] = 1
            found.append(Branches(rows, rows))
        return found


def test_labels_and_boxes_of_image_files_are_looked_at(
    boxed: fo.Dataset, photographs: dict[str, Path]
) -> None:
    namer = Areas()
    label = boxed.first()["asks"].detections[0].id
    picture = f"{photographs['coffee.png']}:10,20,110,220"
    found = vectors_of(boxed, [label, picture, label, "0" * 24], lambda: namer, "areas")
    assert set(found) == {label, picture}  # what is gone is left out, what is twice is one
    assert (10, 20, 110, 220) in namer.shown
    assert len(namer.shown) == 2
    assert all(vector.shape == (768,) for vector in found.values())


def test_embeddings_that_a_run_keeps_are_taken_without_a_look(named: fo.Dataset) -> None:
    def refuse() -> Areas:
        raise AssertionError("a namer was loaded")

    label = named.first()["ovsam"].detections[0].id
    weights = named.get_run_info("ovsam").config.weights
    kept = embedding_index.load(named, "ovsam")
    found = vectors_of(named, [label], refuse, weights)
    assert np.allclose(found[label], kept.vectors[kept.rows([label])[0]], atol=1e-6)


def test_a_namer_with_other_weights_is_not_asked(boxed: fo.Dataset) -> None:
    label = boxed.first()["asks"].detections[0].id
    with pytest.raises(ValueError, match="have changed since"):
        vectors_of(boxed, [label], Areas, "others")


def test_examples_that_are_gone_are_told_with_their_class(boxed: fo.Dataset) -> None:
    vocabulary = with_examples(load_vocabulary("cat, valve"), {"valve": ["0" * 24]})
    for dataset, where in ((boxed, f"in dataset '{boxed.name}'"), (None, "anywhere")):
        with pytest.raises(ValueError, match=f"1 of the 1 examples of 'valve' are gone.*{where}"):
            adapter_of(dataset, vocabulary, Areas.side, Areas, "areas")


def test_classes_without_examples_need_no_namer() -> None:
    def refuse() -> Areas:
        raise AssertionError("a namer was loaded")

    assert adapter_of(None, load_vocabulary("cat, cup"), Areas.side, refuse, "areas") == (None, {})
