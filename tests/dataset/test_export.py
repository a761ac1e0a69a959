"""Labels out as COCO results."""

import json

import fiftyone as fo
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from pycocotools import mask as coco_mask

from ovsam_plugin.annotations import AnnotatedCategory
from ovsam_plugin.dataset.annotations import read_annotations
from ovsam_plugin.dataset.export import CategoryIds, annotation_rows, field_rows, write_rows
from ovsam_plugin.dataset.fields import relative_box
from ovsam_plugin.dataset.importing import attach_prompts
from ovsam_plugin.dataset.sizes import UNSIZED, size_of
from ovsam_plugin.vocabulary.sources import load_vocabulary
from ovsam_plugin.vocabulary.vocabulary import Category, Vocabulary

PHOTOGRAPHS = ("chelsea.png", "coffee.png", "astronaut.png")
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
    (row,) = field_rows(dataset[:1], "ovsam")
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
    rows = list(field_rows(dataset[:1], "ovsam", {"box_prompt_field": "asks"}))
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
    first, second = field_rows(dataset[:1], "ovsam", {"box_prompt_field": "asks"})
    assert first["error"] == "the mask is empty"
    assert second["similarity"] == 0.0
    json.dumps([first, second], allow_nan=False)


def test_a_box_that_a_person_drew_is_written_as_a_box(dataset):
    sample = dataset.first()
    drawn = fo.Detection(label="mine", bounding_box=[0.5, 0.5, 0.25, 0.25])
    odd = fo.Detection(label="odd", bounding_box=[0.5, float("nan"), 0.25, 0.25])
    sample["ovsam"] = fo.Detections(detections=[drawn, odd])
    sample.save()
    row, other = field_rows(dataset[:1], "ovsam")
    assert (row["category_name"], row["bbox"]) == ("mine", [225.5, 150.0, 112.75, 75.0])
    assert (row["note"], coco_mask.area(row["segmentation"])) == ("a box without a mask", 0)
    json.dumps([row, other], allow_nan=False)


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


def test_a_name_that_several_categories_share_has_the_id_of_none():
    coco = load_vocabulary("coco")
    assert {"man", "woman"} <= set(coco.categories[coco.names.index("person")].synonyms)

    def ids(*categories):
        found = CategoryIds([AnnotatedCategory(i, *c) for i, c in enumerate(categories)], coco)
        return found("person")

    assert ids(("man",), ("woman",)) is None
    assert ids(("woman",), ("bag",)) == 0
    assert ids(("man",), ("woman",), ("Person",)) == 2
    # The file's own synonym says more than that of the vocabulary, unless two have it.
    assert ids(("man",), ("somebody", ("person",))) == 1
    assert ids(("adult", ("person",)), ("child", ("person",)), ("woman",)) is None
    # Run together, the exact name still comes before synonyms.
    split = CategoryIds(
        [AnnotatedCategory(0, "diningtable"), AnnotatedCategory(1, "board")],
        Vocabulary("test", (Category("dining table", ("dining table", "board")),)),
    )
    assert split("dining table") == 0


def test_category_ids_of_names_that_run_together_are_found():
    names = ["tvmonitor", "pottedplant", "sofa", "diningtable", "aeroplane", "motorbike", "cat"]
    ids = CategoryIds(
        [AnnotatedCategory(i, name) for i, name in enumerate(names)], load_vocabulary("coco")
    )
    said = ["tv", "potted plant", "couch", "dining table", "airplane", "motorcycle", "cat", "dog"]
    assert [ids(name) for name in said] == [0, 1, 2, 3, 4, 5, 6, None]
    assert CategoryIds([AnnotatedCategory(None, "cat"), AnnotatedCategory(0, "dog")])("dog") == 0


def with_label(dataset, label, **fields):
    """The dataset's first sample with this label alone."""
    sample = dataset.first()
    sample["ovsam"] = fo.Detections(detections=[label])
    for name, value in fields.items():
        sample[name] = value
    sample.save()
    return dataset[:1]


def decoded(row):
    return coco_mask.decode(row["segmentation"]).astype(bool)


def test_a_turned_photograph_is_exported_as_it_is_shown(dataset, turned):
    mask = np.tri(40, 30, dtype=bool)
    label = detection(mask, (200, 300), (451, 300))
    sample = fo.Sample(filepath=str(turned), ovsam=fo.Detections(detections=[label]))
    sample.metadata = fo.ImageMetadata(width=451, height=300)  # as FiftyOne has it for most kinds
    dataset.add_sample(sample)
    (row,) = field_rows(dataset[3:], "ovsam")
    assert row["segmentation"]["size"] == [451, 300]
    assert row["bbox"] == [200, 300, 30, 40]
    np.testing.assert_array_equal(decoded(row)[300:340, 200:230], mask)


@pytest.mark.parametrize(
    ("place", "seen"),
    [
        ((-10, 20), (slice(20, 60), slice(0, 20))),
        ((40, -39), (slice(0, 1), slice(40, 70))),
        ((440, 290), (slice(290, 300), slice(440, 451))),
    ],
)
def test_a_mask_whose_box_was_dragged_over_the_edge_is_cut_there_and_told(
    dataset, tmp_path, caplog, place, seen
):
    mask = np.tri(40, 30, dtype=bool)
    mask[0] = mask[:, 0] = True
    (x, y), (height, width) = place, (300, 451)
    label = detection(mask, (0, 0), (height, width))
    label.bounding_box = [x / width, y / height, 30 / width, 40 / height]
    whole = detection(np.ones((4, 4), bool), (3, 3), (height, width))
    sample = dataset.first()
    sample["ovsam"] = fo.Detections(detections=[label, whole])
    sample.save()
    assert write_rows(field_rows(dataset[:1], "ovsam"), tmp_path / "rows.json") == 2
    row, other = json.loads((tmp_path / "rows.json").read_text())
    expected = np.zeros((height, width), dtype=bool)
    padded = np.pad(expected, 50)
    padded[50 + y : 90 + y, 50 + x : 80 + x] = mask
    expected = padded[50:-50, 50:-50]
    np.testing.assert_array_equal(decoded(row), expected)
    assert expected[seen].sum() == expected.sum()
    assert "beyond the image's edge" in row["note"]
    assert "note" not in other
    assert "1 masks of rows.json were cut" in caplog.text


def test_a_mask_whose_box_was_resized_is_exported_as_the_app_draws_it(dataset):
    mask = np.zeros((40, 60), dtype=bool)
    mask[:20, :30] = mask[20:, 30:] = True
    label = detection(mask, (0, 0), (300, 451))
    label.bounding_box = [100 / 451, 50 / 300, 120 / 451, 20 / 300]
    (row,) = field_rows(with_label(dataset, label), "ovsam")
    expected = np.zeros((300, 451), dtype=bool)
    expected[50:60, 100:160] = expected[60:70, 160:220] = True
    np.testing.assert_array_equal(decoded(row), expected)
    assert row["bbox"] == [100, 50, 120, 20]
    assert "note" not in row


def test_a_mask_on_disk_is_exported(dataset, tmp_path):
    mask = np.tri(40, 30, dtype=bool)
    label = detection(mask, (20, 30), (300, 451))
    label.export_mask(str(tmp_path / "mask.png"), update=True)
    assert label.mask is None
    (row,) = field_rows(with_label(dataset, label), "ovsam")
    np.testing.assert_array_equal(decoded(row)[30:70, 20:50], mask)
    (tmp_path / "mask.png").unlink()
    (row,) = field_rows(dataset[:1], "ovsam")
    assert "mask" in row["error"]
    assert coco_mask.area(row["segmentation"]) == 0


@pytest.mark.parametrize("box", [None, [float("nan"), 0, 1, 1], [1e30, 0, 1, 1], [0.5, 0.5, 0, 0]])
def test_a_box_that_is_nowhere_costs_its_own_row(dataset, box):
    label = detection(np.ones((40, 30), bool), (20, 30), (300, 451))
    label.bounding_box = box
    (row,) = field_rows(with_label(dataset, label), "ovsam")
    assert row["error"]
    json.dumps(row, allow_nan=False)


def test_rows_come_in_the_files_order_though_the_file_mixes_its_images(dataset, tmp_path):
    path = tmp_path / "gt.json"
    images = [{"id": i, "file_name": name} for i, name in enumerate(PHOTOGRAPHS)]
    asks = [{"id": 7 - i, "image_id": i % 3, "bbox": [i, i, 20, 20]} for i in range(8)]
    asks.append({"id": 100, "image_id": 55, "bbox": [0, 0, 9, 9]})
    path.write_text(json.dumps({"images": images, "annotations": asks}))
    asked = attach_prompts(dataset, read_annotations(path, "box"), label_field="ovsam")
    for sample in dataset.iter_samples(autosave=True):
        size = size_of(sample)
        answers = [
            detection(np.ones((2, 3), bool), (int(p.annotation_id), 5), size, prompt_id=p.id)
            for p in sample[asked.field].detections
        ]
        sample["ovsam"] = fo.Detections(detections=answers)
    rows = annotation_rows(asked.view(dataset), "ovsam", asked, lambda name: 17)
    assert not isinstance(rows, list)
    rows = list(rows)
    assert [row["prompt_id"] for row in rows] == [7, 6, 5, 4, 3, 2, 1, 0, 100]
    assert [row["bbox"][0] for row in rows[:-1]] == [7, 6, 5, 4, 3, 2, 1, 0]
    assert {row["category_id"] for row in rows[:-1]} == {17}
    assert "no image with id 55" in rows[-1]["error"]


def test_answers_on_a_photograph_that_another_has_replaced_are_told(named, tmp_path):
    sample = named.first()
    sample.filepath = str(tmp_path / "replaced.png")
    Image.new("RGB", (300, 900)).save(sample.filepath)
    sample.save()
    rows = [*field_rows(named, "ovsam", {"box_prompt_field": "asks"})]
    told = [row.get("error", "") for row in rows]
    assert all("is not the one that was labelled" in why for why in told[:3])
    assert told[3:] == [""] * 6


def test_an_answer_on_a_photograph_that_is_gone_is_not_called_unanswered(named, tmp_path):
    sample = named.first()
    sample.filepath = str(tmp_path / "gone.png")
    sample.metadata = None
    sample.save()
    rows = [*field_rows(named, "ovsam", {"box_prompt_field": "asks"})]
    assert [row.get("error") for row in rows] == [UNSIZED] * 3 + [None] * 6
