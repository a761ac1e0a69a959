"""`apply_model` with what the zoo loads, on real photographs and on bad files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.zoo as foz
import numpy as np
import pytest
from PIL import Image, ImageOps

from ovsam_plugin.dataset.fields import ATTRIBUTES
from ovsam_plugin.dataset.model import OvsamModel
from ovsam_plugin.images.mask_crop import NOTHING
from ovsam_plugin.prediction.instances import PackedMasks
from ovsam_plugin.prediction.predictor import Encoding, Predictor

CAT = [0.1, 0.1, 0.8, 0.8]
"""Relative box around the cat's head of the first photograph."""


def ask(dataset: fo.Dataset, field: str, *labels: fo.Label | None) -> None:
    """Sets one label a sample."""
    for sample, label in zip(dataset, labels):
        sample[field] = label
        sample.save()


def boxes(*bounding_boxes: list[float]) -> fo.Detections:
    return fo.Detections(detections=[fo.Detection(bounding_box=b) for b in bounding_boxes])


def full_masks(sample: fo.Sample, field: str = "ovsam") -> list[np.ndarray]:
    with Image.open(sample.filepath) as image:
        size = image.size
    return [
        label.to_segmentation(frame_size=size).mask > 0
        for label in sample[field].detections
        if label.mask is not None
    ]


def test_the_zoo_gives_the_same_model_while_it_is_held(model: OvsamModel) -> None:
    again = foz.load_zoo_model(
        "ovsam-lite", vocabulary="cat, cup, person, spoon", device="cpu", points_per_side=6
    )
    assert again is model
    assert model.classes == ("cat", "cup", "person", "spoon")


def test_everything_on_a_photograph_gets_a_mask_a_name_and_scores(
    dataset: fo.Dataset, model: OvsamModel
) -> None:
    dataset.apply_model(model, label_field="ovsam", num_workers=0)
    labels = dataset.values("ovsam.detections", unwind=True)
    assert len(labels) >= len(dataset)
    for label in labels:
        assert label.label in model.classes
        assert label.top_labels[0] == label.label
        assert len(label.top_labels) == len(label.top_scores) == 4
        for name in ("confidence", "head_score", "clip_score", "margin", "stability"):
            assert isinstance(label[name], float)
            assert 0 <= label[name] <= 1
        assert -1 <= label.similarity <= 1
        assert label.top_scores[0] == pytest.approx(label.confidence)
        assert label.prompt_type == "everything"
        assert label.prompt_id is None
        assert label.mask.dtype == bool
        assert label.mask.any(0)[[0, -1]].all()
        assert label.mask.any(1)[[0, -1]].all()
    assert dataset.values("ovsam_error") == [None] * 3


def test_every_attribute_is_declared_with_a_description(
    dataset: fo.Dataset, model: OvsamModel
) -> None:
    ask(dataset, "asks", boxes(CAT))
    dataset.apply_model(model, label_field="ovsam", box_prompt_field="asks", num_workers=0)
    for attribute in ATTRIBUTES:
        field = dataset.get_field(f"ovsam.detections.{attribute.name}")
        assert isinstance(field, attribute.kind), attribute.name
        assert field.description == attribute.description
    assert dataset.get_field("ovsam_error").description
    undeclared = dataset.get_dynamic_field_schema()
    assert [path for path in undeclared if path.startswith("ovsam")] == []


@pytest.mark.parametrize("workers", [0, 2])
def test_every_box_is_answered_in_order_and_samples_without_boxes_get_none(
    dataset: fo.Dataset, model: OvsamModel, workers: int
) -> None:
    asked = boxes(CAT, [0.5, 0.5, 0.2, 0.2], [0, 0, 0.3, 0.4])
    ask(dataset, "asks", asked, None, boxes())
    dataset.apply_model(
        model, label_field="ovsam", box_prompt_field="asks", batch_size=3, num_workers=workers
    )
    first, second, third = dataset
    ids = [label.prompt_id for label in first.ovsam.detections]
    assert ids == [str(label.id) for label in asked.detections]
    assert {label.prompt_type for label in first.ovsam.detections} == {"box"}
    assert second.ovsam.detections == []
    assert third.ovsam.detections == []
    assert dataset.values("ovsam_error") == [None] * 3


def test_a_mask_that_is_only_named_comes_back_pixel_for_pixel(
    dataset: fo.Dataset, model: OvsamModel
) -> None:
    width, height = 451, 300
    rows, columns = np.mgrid[:110, :97]
    mask = (rows - 55) ** 2 + (columns - 48) ** 2 <= 48**2
    given = fo.Detection(bounding_box=[101 / width, 53 / height, 97 / width, 110 / height])
    given.mask = mask
    ask(dataset, "asks", fo.Detections(detections=[given]))
    dataset.apply_model(model, label_field="ovsam", mask_prompt_field="asks", num_workers=0)
    sample = dataset.first()
    (drawn,) = full_masks(sample)
    expected = np.zeros((height, width), dtype=bool)
    expected[53:163, 101:198] = mask
    assert np.array_equal(drawn, expected)
    assert sample.ovsam.detections[0].prompt_type == "mask"
    assert sample.ovsam.detections[0].label in model.classes


def test_a_negative_point_changes_the_answer(dataset: fo.Dataset, model: OvsamModel) -> None:
    """On the cup's photograph: the cup and its saucer, and what of it leaves out the rim below."""
    points = [(0.5, 0.5), (0.5, 0.8)]
    asked = [fo.Keypoint(points=points, point_labels=marks) for marks in ([1, 1], [1, 0])]
    view = dataset.skip(1).limit(1)
    ask(view, "clicks", fo.Keypoints(keypoints=asked))
    view.apply_model(model, label_field="ovsam", point_prompt_field="clicks", num_workers=0)
    sample = view.first()
    assert sample.filepath.endswith("coffee.png")
    assert [label.prompt_type for label in sample.ovsam.detections] == ["point", "point"]
    both, less = full_masks(sample)
    at = int(0.8 * 400), int(0.5 * 600)
    assert both[at]
    assert not less[at]


def test_prompts_of_all_kinds_may_ask_together(dataset: fo.Dataset, model: OvsamModel) -> None:
    mask = fo.Detection(bounding_box=CAT, mask=np.ones((5, 5), dtype=bool))
    ask(dataset, "boxes", boxes(CAT))
    ask(dataset, "clicks", fo.Keypoint(points=[(0.5, 0.5)]))
    ask(dataset, "masks", fo.Detections(detections=[mask]))
    dataset.apply_model(
        model,
        label_field="ovsam",
        mask_prompt_field="masks",
        box_prompt_field="boxes",
        point_prompt_field="clicks",
        num_workers=0,
    )
    kinds = [label.prompt_type for label in dataset.first().ovsam.detections]
    assert kinds == ["box", "point", "mask"]


def test_a_bad_file_costs_its_own_sample_alone(
    images: list[Path], tmp_path: Path, model: OvsamModel
) -> None:
    cut = tmp_path / "cut.png"
    cut.write_bytes(images[0].read_bytes()[:5000])
    empty = tmp_path / "empty.jpg"
    empty.touch()
    text = tmp_path / "text.jpg"
    text.write_text("no picture")
    paths = [images[0], tmp_path / "gone.jpg", cut, empty, text, images[1]]
    dataset = fo.Dataset()
    dataset.add_samples([fo.Sample(filepath=str(p), asks=boxes(CAT)) for p in paths])
    dataset.apply_model(
        model, label_field="ovsam", box_prompt_field="asks", batch_size=6, num_workers=1
    )
    errors = dataset.values("ovsam_error")
    assert errors[0] is None
    assert errors[5] is None
    for error, reason in zip(errors[1:5], ("no file", "cut short", "is empty", "not an image")):
        assert reason in error
    counts = [len(labels or []) for labels in dataset.values("ovsam.detections")]
    assert counts == [1, 0, 0, 0, 0, 1]
    dataset.delete()


def test_a_bad_box_costs_itself_alone(dataset: fo.Dataset, model: OvsamModel) -> None:
    nan = float("nan")
    asked = boxes(CAT, [nan, 0, 0.5, 0.5], [0.5, 0.5, -0.1, 0.1], [2, 2, 0.1, 0.1], CAT)
    ask(dataset, "asks", asked, boxes([0.1, 0.1, 0, 0]))
    dataset.apply_model(
        model, label_field="ovsam", box_prompt_field="asks", batch_size=2, num_workers=0
    )
    first, second, _ = dataset
    good = [str(asked.detections[i].id) for i in (0, 4)]
    assert [label.prompt_id for label in first.ovsam.detections] == good
    assert first.ovsam_error.startswith("3 of 5 prompts left out")
    assert second.ovsam.detections == []
    assert second.ovsam_error.startswith("1 of 1 prompts left out")


def test_masks_of_a_turned_photograph_lie_where_the_app_shows_it(
    images: list[Path], tmp_path: Path, model: OvsamModel
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise when shown
    turned = tmp_path / "turned.jpg"
    lying = Image.open(images[0]).convert("RGB").transpose(Image.Transpose.ROTATE_90)
    lying.save(turned, exif=exif)
    plain = tmp_path / "plain.png"
    ImageOps.exif_transpose(Image.open(turned)).save(plain)
    dataset = fo.Dataset()
    paths = (plain, turned)
    dataset.add_samples([fo.Sample(filepath=str(p), asks=boxes(CAT)) for p in paths])
    dataset.compute_metadata()
    sizes = [(m.width, m.height) for m in dataset.values("metadata")]
    assert sizes == [(451, 300), (451, 300)]
    dataset.apply_model(model, label_field="ovsam", box_prompt_field="asks", num_workers=0)
    first, second = (sample.ovsam.detections[0] for sample in dataset)
    assert first.bounding_box == second.bounding_box
    assert np.array_equal(first.mask, second.mask)
    dataset.delete()


@pytest.mark.parametrize("size", [(1, 1), (3, 500)])
def test_tiny_and_thin_images_are_labelled(
    tmp_path: Path, model: OvsamModel, size: tuple[int, int]
) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", size, (90, 120, 30)).save(path)
    dataset = fo.Dataset()
    dataset.add_sample(fo.Sample(filepath=str(path), asks=boxes([0, 0, 1, 1])))
    dataset.apply_model(model, label_field="ovsam", box_prompt_field="asks", num_workers=0)
    dataset.apply_model(model, label_field="all", num_workers=0)
    assert dataset.values("ovsam_error") == [None]
    assert len(dataset.first().ovsam.detections) == 1
    assert dataset.values("all_error") == [None]
    dataset.delete()


def test_a_mask_on_a_hundred_million_pixels_lies_in_its_place(
    photographs: dict[str, Path], tmp_path: Path, model: OvsamModel
) -> None:
    path = tmp_path / "huge.jpg"
    cat = Image.open(photographs["chelsea.png"]).convert("RGB")
    cat.resize((12_000, 9_000), Image.Resampling.BILINEAR).save(path, quality=80)
    dataset = fo.Dataset()
    dataset.add_sample(fo.Sample(filepath=str(path), asks=boxes([0.3, 0.2, 0.5, 0.5])))
    dataset.apply_model(model, label_field="ovsam", box_prompt_field="asks", num_workers=0)
    (label,) = dataset.first().ovsam.detections
    assert dataset.values("ovsam_error") == [None]
    height, width = label.mask.shape
    assert label.bounding_box[2] == pytest.approx(width / 12_000)
    assert label.bounding_box[3] == pytest.approx(height / 9_000)
    assert label.mask.sum() > 1_000_000
    dataset.delete()


def test_confidence_thresh_and_classes_leave_labels_out(
    dataset: fo.Dataset, model: OvsamModel
) -> None:
    corners = [[x, y, 0.4, 0.4] for x in (0, 0.3, 0.6) for y in (0, 0.6)]
    ask(dataset, "asks", boxes(*corners), boxes(*corners), boxes(*corners))
    asks = {"box_prompt_field": "asks", "num_workers": 0}
    dataset.apply_model(model, label_field="all", **asks)
    labels = dataset.values("all.detections", unwind=True)
    assert len(labels) == 18
    middle = float(np.median([label.confidence for label in labels]))
    dataset.apply_model(model, label_field="sure", confidence_thresh=middle, **asks)
    sure = dataset.values("sure.detections.confidence", unwind=True)
    assert len(sure) == sum(label.confidence >= middle for label in labels)
    assert min(sure) >= middle
    common = max(model.classes, key=lambda c: sum(label.label == c for label in labels))
    dataset.apply_model(model, label_field="one", classes=[common], **asks)
    one = dataset.values("one.detections.label", unwind=True)
    assert len(one) == sum(label.label == common for label in labels)
    assert set(one) == {common}
    assert model.config.confidence_thresh is None
    assert model.config.filter_classes is None


def test_an_unknown_argument_is_named(dataset: fo.Dataset, model: OvsamModel) -> None:
    with pytest.raises(ValueError, match="unknown argument 'boxes_field': allowed are box_prompt"):
        dataset.apply_model(model, label_field="ovsam", boxes_field="asks")


def test_a_field_of_another_type_says_so_on_each_sample(
    dataset: fo.Dataset, model: OvsamModel
) -> None:
    dataset.set_values("kind", [fo.Classification(label="cat")] * 3)
    dataset.apply_model(model, label_field="ovsam", box_prompt_field="kind", num_workers=0)
    errors: list[Any] = dataset.values("ovsam_error")
    assert all("must name a field of Detections" in error for error in errors)


def test_a_bare_array_gives_bare_labels(model: OvsamModel, images: list[Path]) -> None:
    pixels = np.asarray(Image.open(images[0]).convert("RGB"))
    labels = model.predict(pixels)
    assert isinstance(labels, fo.Detections)
    assert {label.prompt_type for label in labels.detections} == {"everything"}


@pytest.mark.parametrize(
    "kind",
    [
        "COCODetectionDataset",
        "YOLOv4Dataset",
        "YOLOv5Dataset",
        "KITTIDetectionDataset",
        "CVATImageDataset",
        "VOCDetectionDataset",
        "FiftyOneDataset",
    ],
)
def test_an_answer_without_a_mask_is_told_and_stops_none_of_fiftyones_exporters(
    dataset: fo.Dataset,
    model: OvsamModel,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    kind: str,
) -> None:
    decode = Predictor.decode

    def second_is_empty(self: Predictor, encoding: Encoding, *asked: Any) -> Any:
        found = decode(self, encoding, *asked)
        places, crops = found.boxes.copy(), list(found.masks.crops)
        places[1], crops[1] = 0, NOTHING
        return replace(found, boxes=places, masks=PackedMasks(tuple(crops)))

    monkeypatch.setattr(Predictor, "decode", second_is_empty)
    one = dataset.limit(1)
    ask(one, "asks", boxes(CAT, [0.5, 0.5, 0.1, 0.1], [0.1, 0.5, 0.3, 0.3]))
    one.apply_model(model, label_field="ovsam", box_prompt_field="asks", num_workers=0)
    sample = dataset.first()
    first, second, third = (label.id for label in sample["asks"].detections)
    assert [label.prompt_id for label in sample["ovsam"].detections] == [first, third]
    assert sample["ovsam_error"] == f"1 of 3 prompts left out: {second}: the mask is empty"
    one.export(
        export_dir=str(tmp_path / "out"),
        dataset_type=getattr(fo.types, kind),
        label_field="ovsam",
        progress=False,
    )
    assert any(file.is_file() for file in (tmp_path / "out").rglob("*"))
