"""What is written of answers: their labels, their embeddings, and why others have none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import fiftyone as fo
import pytest

from ovsam_plugin.dataset.answer_writer import AnswerWriter
from ovsam_plugin.dataset.embedding_spool import EmbeddingSpool
from ovsam_plugin.dataset.fields import declare_fields
from ovsam_plugin.dataset.loading import Loaded
from ovsam_plugin.dataset.model import Answer
from ovsam_plugin.dataset.model_building import build_model

from .conftest import loaded


@pytest.fixture
def answered(
    dataset: fo.Dataset, images: list[Path]
) -> tuple[dict[str, Loaded], dict[str, Answer]]:
    """Two photographs, each asked by two boxes, of which the second cannot be read."""
    declare_fields(dataset, "ovsam")
    model = build_model("ovsam-lite", vocabulary="cat, cup", device="cpu")
    first, second = loaded(model, images[:2], boxes=2)
    items = [first, replace(second, frame=None, error="it is no picture")]
    ids = dataset.values("id")[:2]
    return dict(zip(ids, items)), dict(zip(ids, model.answer(items)))


def test_labels_embeddings_and_reasons_are_written_and_counted(
    dataset: fo.Dataset, answered: tuple[dict[str, Loaded], dict[str, Answer]]
) -> None:
    items, answers = answered
    first, second = answers
    places = {i: {f"box:{number}": number} for number, i in enumerate(answers)}
    writer = AnswerWriter(dataset, "ovsam", "me", embeddings=True)
    writer.write(items, answers, places, adds=False)
    dataset.reload()
    labels = [label.id for label in dataset[first].ovsam.detections]
    assert labels == [label.id for label in answers[first].detections.detections]
    assert [i for part in EmbeddingSpool(dataset, "ovsam") for i in part.label_ids] == labels
    assert dataset[second].ovsam_error == "it is no picture"
    assert not dataset[second].ovsam.detections
    # Where nothing could be looked at, nothing was asked: the same call tries it again.
    documents = {str(d["_id"]): d.get("ovsam") for d in dataset._sample_collection.find({})}
    assert documents[first]["asked"] == {"box:0": 0}
    assert "asked" not in documents[second]
    tally = writer.tally
    assert (tally.labelled, tally.failed, tally.instances) == (2, 1, 2)
    assert tally.reasons == [f"{Path(dataset[second].filepath).name}: it is no picture"]


def test_without_embeddings_labels_alone_are_written(
    dataset: fo.Dataset, answered: tuple[dict[str, Loaded], dict[str, Answer]]
) -> None:
    AnswerWriter(dataset, "ovsam", "me", embeddings=False).write(*answered, {}, adds=False)
    assert dataset.count("ovsam.detections") == 2
    assert EmbeddingSpool(dataset, "ovsam").keys() == []
