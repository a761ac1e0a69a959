"""Labels out as COCO results."""

import json

import fiftyone as fo
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask

from ovsam_plugin.dataset.annotations import AnnotatedCategory
from ovsam_plugin.dataset.export import CategoryIds, field_rows, write_rows
from ovsam_plugin.dataset.fields import relative_box
from ovsam_plugin.vocabulary.vocabulary import Category, Vocabulary

SCORES = ("similarity", "head_score", "clip_score", "margin", "stability")


def detection(mask, corner, size, **attributes):
    """A label as a labelling run writes it."""
    (x, y), (h, w) = corner, mask.shape
    return fo.Detection(
        label="cat",
        bounding_box=relative_box([x, y, x + w, y + h], size),
        mask=mask,
        confidence=0.5,
        **dict.fromkeys(SCORES, 0.25),
        **attributes,
    )


@st.composite
def placed_masks(draw):
    """A mask cut to its own box, where that lies, and the image's size."""
    mask = draw(hnp.arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 40))))
    mask[0, :] = mask[:, 0] = mask[-1, :] = mask[:, -1] = True
    left, top, right, bottom = (draw(st.integers(0, 3000)) for _ in range(4))
    size = (top + mask.shape[0] + bottom, left + mask.shape[1] + right)
    return mask, (left, top), size


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(placed_masks())
def test_an_exported_mask_is_the_stored_one_to_the_pixel(dataset, placed):
    mask, (x, y), size = placed
    sample = dataset.first()
    sample.filepath = "/nowhere/gone.jpg"  # so that the metadata alone say how large it was
    sample.metadata = fo.ImageMetadata(width=size[1], height=size[0])
    sample["ovsam"] = fo.Detections(detections=[detection(mask, (x, y), size)])
    sample.save()
    (row,) = field_rows(dataset[:1], "ovsam", None)
    row = json.loads(json.dumps(row))
    decoded = coco_mask.decode(row["segmentation"]).astype(bool)
    assert decoded.shape == size
    assert decoded.sum() == mask.sum()
    np.testing.assert_array_equal(decoded[y : y + mask.shape[0], x : x + mask.shape[1]], mask)
    assert row["bbox"] == [x, y, mask.shape[1], mask.shape[0]]


def test_every_prompt_has_its_row_in_the_prompts_order(dataset):
    boxes = [fo.Detection(bounding_box=box) for box in ([0, 0, 1, 1], [2, 2, 1, 1], [0, 0, 0.5, 1])]
    whole = np.ones((300, 451), dtype=bool)
    answers = [
        detection(whole, (0, 0), whole.shape, prompt_id=boxes[i].id, prompt_type="box")
        for i in (2, 0)
    ]
    sample = dataset.first()
    sample["asks"] = fo.Detections(detections=boxes)
    sample["ovsam"] = fo.Detections(detections=answers)
    sample["ovsam_error"] = "1 of 3 prompts left out: ..."
    sample.save()
    rows = list(field_rows(dataset[:1], "ovsam", "asks"))
    assert [row["prompt_id"] for row in rows] == [box.id for box in boxes]
    assert [row["score"] for row in rows] == [0.5, 0.0, 0.5]
    assert "lies outside the 451 x 300 image" in rows[1]["error"]
    assert "error" not in rows[0]
    assert coco_mask.area(rows[1]["segmentation"]) == 0
    assert rows[1]["segmentation"]["size"] == [300, 451]


def test_an_answer_without_a_mask_or_a_number_is_finite_and_says_so(dataset):
    box = fo.Detection(bounding_box=[0, 0, 1, 1])
    other = fo.Detection(bounding_box=[0, 0, 1, 1])
    nothing = fo.Detection(bounding_box=[0, 0, 1, 1], prompt_id=box.id, confidence=0.0)
    odd = detection(np.ones((300, 451), bool), (0, 0), (300, 451), prompt_id=other.id)
    odd["similarity"] = float("nan")
    sample = dataset.first()
    sample["asks"] = fo.Detections(detections=[box, other])
    sample["ovsam"] = fo.Detections(detections=[nothing, odd])
    sample.save()
    first, second = field_rows(dataset[:1], "ovsam", "asks")
    assert first["error"] == "the mask is empty"
    assert second["similarity"] == 0.0
    json.dumps([first, second], allow_nan=False)


def test_rows_are_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "sub" / "preds.json"
    assert write_rows([], path) == 0
    assert json.loads(path.read_text()) == []
    assert write_rows([{"name": "кошка"}, {"name": "cat"}], path) == 2
    assert json.loads(path.read_text()) == [{"name": "кошка"}, {"name": "cat"}]

    def failing():
        yield {"name": "dog"}
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write_rows(failing(), path)
    assert json.loads(path.read_text())[0] == {"name": "кошка"}
    assert [file.name for file in path.parent.iterdir()] == ["preds.json"]


def test_category_ids_are_found_by_name_and_by_synonym_and_never_guessed():
    vocabulary = Vocabulary(
        "test",
        (
            Category("car (automobile)", ("car (automobile)", "car", "auto")),
            Category("fire hydrant"),
            Category("bat"),
            Category("wheelbarrow"),
        ),
    )
    ids = CategoryIds(
        [
            AnnotatedCategory(3, "car"),
            AnnotatedCategory(11, "Fire_Hydrant"),
            AnnotatedCategory(20, "club", ("bat",)),
            AnnotatedCategory(21, "animal", ("bat", "barrow")),
            AnnotatedCategory(22, "barrow"),
        ],
        vocabulary,
    )
    assert ids("car (automobile)") == 3
    assert ids("fire hydrant") == 11
    assert ids("bat") is None
    assert ids("barrow") == 22
    assert ids("wheelbarrow") is None
