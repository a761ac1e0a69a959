"""What is written on a label."""

from __future__ import annotations

import fiftyone as fo
import numpy as np
import pytest

from ovsam_plugin import label_dataset
from ovsam_plugin.dataset import fields
from ovsam_plugin.dataset.fields import (
    ATTRIBUTES,
    check_field,
    declare_fields,
    relative_box,
    to_detections,
)
from ovsam_plugin.prediction.instances import Instances, PackedMasks
from ovsam_plugin.prediction.prompts import Box, Points, Prompt
from ovsam_plugin.recognition.recognizer import Recognition
from ovsam_plugin.vocabulary.vocabulary import Category, Vocabulary

SIZE = (60, 80)
VOCABULARY = Vocabulary(
    "pets",
    (
        Category("cat", ("cat", "kitty"), "base", "f", 1),
        Category("dog", ("dog",), "novel", "r", 2),
        Category("newt", ("newt",), None, None, 3),
    ),
)


def answers(
    masks: list[np.ndarray], boxes: list[tuple[int, ...]], prompts: tuple[Prompt, ...]
) -> tuple[Instances, Recognition]:
    count = len(prompts)
    ones = np.ones((count, 4), dtype=np.float32)
    instances = Instances(
        image_size=SIZE,
        boxes=np.array(boxes, dtype=np.int64).reshape(-1, 4),
        masks=PackedMasks.pack(masks),
        stability=np.linspace(0.5, 1, count, dtype=np.float32),
        objectness=np.linspace(0.25, 0.75, count, dtype=np.float32),
        head_embeddings=ones,
        clip_embeddings=ones,
        prompts=prompts,
    )
    top = np.array([[i % 3, (i + 1) % 3, (i + 2) % 3] for i in range(count)]).reshape(-1, 3)
    scores = np.tile(np.array([0.5, 0.25, 0.125], dtype=np.float32), (count, 1))
    recognition = Recognition(
        vocabulary=VOCABULARY,
        indices=top[:, 0],
        confidence=scores[:, 0],
        head_score=scores[:, 0] / 2,
        clip_score=scores[:, 1],
        similarity=-scores[:, 0],
        margin=scores[:, 0] - scores[:, 1],
        background=scores[:, 2],
        top_indices=top,
        top_scores=scores,
    )
    return instances, recognition


def test_scores_and_groups_are_plain_numbers_and_words() -> None:
    mask = np.ones((4, 5), dtype=bool)
    prompts = (Box((0, 0, 9, 9), id="a"), Points(((1, 1),), id="b"))
    first, second = to_detections(*answers([mask] * 2, [(0, 0, 5, 4)] * 2, prompts)).detections
    assert (first.label, first.split, first.frequency) == ("cat", "base", "f")
    assert (second.label, second.split, second.frequency) == ("dog", "novel", "r")
    assert first.top_labels == ["cat", "dog", "newt"]
    assert first.top_scores == [0.5, 0.25, 0.125]
    scores = ("confidence", "head_score", "clip_score", "similarity", "margin", "stability")
    assert [first[name] for name in scores] == [0.5, 0.25, 0.25, -0.5, 0.25, 0.5]
    assert [d.objectness for d in (first, second)] == [0.25, 0.75]
    assert all(type(first[name]) is float for name in (*scores, "objectness"))
    assert (first.prompt_type, first.prompt_id) == ("box", "a")
    assert (second.prompt_type, second.prompt_id) == ("point", "b")


def test_every_mask_is_drawn_on_the_pixels_it_came_from() -> None:
    random = np.random.default_rng(0)
    for _ in range(300):
        height, width = random.integers(1, 2000, 2)
        x1, y1 = random.integers(0, width), random.integers(0, height)
        x2, y2 = random.integers(x1, min(width, x1 + 90)), random.integers(y1, min(height, y1 + 90))
        mask = random.random((y2 + 1 - y1, x2 + 1 - x1)) > 0.5
        box = relative_box((x1, y1, x2 + 1, y2 + 1), (int(height), int(width)))
        label = fo.Detection(label="a", bounding_box=box, mask=mask)
        drawn = label.to_segmentation(frame_size=(int(width), int(height))).mask > 0
        expected = np.zeros((height, width), dtype=bool)
        expected[y1 : y2 + 1, x1 : x2 + 1] = mask
        assert np.array_equal(drawn, expected)


def test_more_masks_than_a_document_holds_are_refused_before_they_are_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fields, "_DOCUMENT_LIMIT", 200_000)  # the real one takes 100 MB of noise
    noise = np.random.default_rng(0).random((1000, 1000)) > 0.5
    smooth = np.ones((1000, 1000), dtype=bool)
    for mask in (smooth, noise):
        label = fo.Detection(label="a", bounding_box=[0, 0, 1, 1], mask=mask)
        labels = fo.Detections(detections=[label, label.copy()])
        if mask is smooth:
            fields.check_storable(labels)
        else:
            with pytest.raises(
                ValueError, match=r"2 masks take 0\.\d MB, and MongoDB stores at most 16 MB"
            ):
                fields.check_storable(labels)


def test_declaring_twice_changes_nothing(dataset: fo.Dataset) -> None:
    declare_fields(dataset, "mine")
    schema = dataset.get_field_schema(flat=True)
    for attribute in ATTRIBUTES:
        field = schema[f"mine.detections.{attribute.name}"]
        assert (type(field), field.description) == (attribute.kind, attribute.description)
        if attribute.subfield is not None:
            assert isinstance(field.field, attribute.subfield)
    declare_fields(dataset, "mine")
    assert dataset.get_field_schema(flat=True).keys() == schema.keys()


def test_fields_of_another_type_are_refused(dataset: fo.Dataset) -> None:
    with pytest.raises(ValueError, match="'filepath' holds StringField, not Detections"):
        check_field(dataset, "filepath")
    dataset.add_sample_field("mine_error", fo.IntField)
    with pytest.raises(ValueError, match=r"'mine_error'.*holds IntField"):
        check_field(dataset, "mine")
    dataset.add_sample_field("noted_error", fo.StringField)
    check_field(dataset, "noted")
    dataset.set_values("noted_error", [None, "my own note", None])
    with pytest.raises(ValueError, match="'noted_error'.* holds text of somebody else"):
        check_field(dataset, "noted")
    with pytest.raises(ValueError, match="'noted_error'"):
        label_dataset(dataset, label_field="noted", vocabulary="cat", progress=False)
    assert dataset.values("noted_error")[1] == "my own note"
    for name in ("", "1st", "_private", "a.b", "a b"):
        with pytest.raises(ValueError, match="cannot be a label field"):
            check_field(dataset, name)
