"""Folders of images and annotation files as datasets."""

import contextlib
import json
import os
import shutil
import threading

import fiftyone as fo
import pytest
from PIL import Image

from ovsam_plugin.dataset import importing
from ovsam_plugin.dataset.annotations import read_annotations
from ovsam_plugin.dataset.database import in_parts
from ovsam_plugin.dataset.importing import attach_prompts, import_images


@pytest.fixture
def folder(images):
    """The folder of the photographs; its dataset is gone after the test."""
    folder = images[0].parent
    yield folder
    name = import_images(folder).name
    fo.delete_dataset(name)


def annotation_file(tmp_path, images, annotations, source="box"):
    path = tmp_path / "gt.json"
    records = [{"file_name": name, **record} for name, record in images.items()]
    path.write_text(json.dumps({"images": records, "annotations": annotations}))
    return read_annotations(path, source)


CAT = {"id": 1, "width": 451, "height": 300}
CUP = {"id": 2, "width": 600, "height": 400}


def test_a_folder_becomes_a_persistent_dataset_with_a_name_that_stays(folder):
    first = import_images(folder)
    assert first.persistent
    assert first.count() == 3
    assert import_images(f"{folder}/../{folder.name}").name == first.name


def test_images_that_come_later_are_added_and_others_kept(folder):
    before = dict(zip(*import_images(folder).values(["filepath", "id"]), strict=True))
    (folder / "sub" / ".hidden").mkdir(parents=True)
    shutil.copy(folder / "chelsea.png", folder / "sub" / "CAT.PNG")
    shutil.copy(folder / "chelsea.png", folder / "sub" / ".hidden" / "cat.png")
    (folder / "notes.txt").write_text("not an image")
    after = dict(zip(*import_images(folder).values(["filepath", "id"]), strict=True))
    assert before.items() <= after.items()
    assert set(after) - set(before) == {str(folder / "sub" / "CAT.PNG")}


def test_two_calls_on_a_folder_at_once_add_each_image_once(folder, monkeypatch):
    import_images(folder).delete_samples(import_images(folder))
    together, add = threading.Barrier(2, timeout=3), fo.Dataset.add_samples

    def add_together(dataset, *args, **settings):
        with contextlib.suppress(threading.BrokenBarrierError):
            together.wait()
        return add(dataset, *args, **settings)

    monkeypatch.setattr(fo.Dataset, "add_samples", add_together)
    calls = [threading.Thread(target=import_images, args=(folder,)) for _ in range(2)]
    for call in calls:
        call.start()
    for call in calls:
        call.join()
    assert len(import_images(folder)) == 3


def test_a_folder_without_images_and_no_folder_at_all_are_rejected(tmp_path):
    with pytest.raises(ValueError, match="holds no images"):
        import_images(tmp_path)
    with pytest.raises(ValueError, match="there is no folder"):
        import_images(tmp_path / "none")


def test_prompts_lie_where_the_annotations_say_and_bring_nothing_else(folder, tmp_path):
    annotation = {
        "id": 9,
        "image_id": 1,
        "category_id": 17,
        "bbox": [45.1, 30, 90.2, 150],
        "segmentation": [[1, 1, 3, 1, 3, 3]],
    }
    dataset = import_images(folder)
    file = annotation_file(tmp_path, {"chelsea.png": CAT}, [annotation])
    asked = attach_prompts(dataset, file, label_field="ovsam")
    assert len(asked.view(dataset)) == 1
    (label,) = asked.view(dataset).first()[asked.field].detections
    assert label.bounding_box == pytest.approx([0.1, 0.1, 0.2, 0.5])
    assert label.annotation_id == "9"
    assert label.id == asked.labels[0]
    assert label.label is None
    assert label.mask is None


def test_the_same_file_again_gives_the_same_labels_and_keeps_what_others_wrote(folder, tmp_path):
    dataset = import_images(folder)
    annotation = {"id": 9, "image_id": 1, "bbox": [45, 30, 90, 150]}
    file = annotation_file(tmp_path, {"chelsea.png": CAT}, [annotation])
    first = attach_prompts(dataset, file, label_field="ovsam")
    assert attach_prompts(dataset, file, label_field="ovsam").labels == first.labels

    dataset.set_values("ovsam", [fo.Detections() for _ in range(3)])
    moved = annotation_file(
        tmp_path, {"chelsea.png": CAT}, [{**annotation, "bbox": [46, 30, 90, 150]}]
    )
    assert attach_prompts(dataset, moved, label_field="ovsam").labels != first.labels
    assert dataset.exists("ovsam").count() == 3


@pytest.mark.parametrize("kind", ["drawn", "run", "text"])
def test_what_is_no_annotation_file_s_is_never_replaced_by_prompts(folder, tmp_path, kind):
    dataset = import_images(folder)
    if kind == "text":
        dataset.set_values("ovsam_boxes", ["a note"] * 3)
    else:
        whole = {"bounding_box": [0, 0, 1, 1], "prompt_type": kind if kind == "run" else None}
        sample = dataset.match(fo.ViewField("filepath").ends_with("chelsea.png")).first()
        sample["ovsam_boxes"] = fo.Detections(detections=[fo.Detection(label="mine", **whole)])
        sample.save()
    before = dataset.values("ovsam_boxes")
    asks = [{"id": 1, "image_id": 1, "bbox": [1, 2, 3, 4]}]
    file = annotation_file(tmp_path, {"chelsea.png": CAT}, asks)
    for overwrite in (False, True):
        with pytest.raises(ValueError, match="prompts go to field 'ovsam_boxes', which holds"):
            attach_prompts(dataset, file, label_field="ovsam", overwrite=overwrite)
    dataset.reload()
    assert str(dataset.values("ovsam_boxes")) == str(before)
    points = annotation_file(
        tmp_path, {"chelsea.png": CAT},
        [{**asks[0], "segmentation": [[10, 10, 60, 10, 60, 60, 10, 60]]}], "center-point",
    )  # fmt: skip
    assert attach_prompts(dataset, points, label_field="ovsam").labels


def test_images_that_are_not_there_become_samples_and_are_counted(folder, tmp_path):
    dataset = import_images(folder)
    annotations = [
        {"id": 1, "image_id": 1, "bbox": [1, 1, 9, 9]},
        {"id": 2, "image_id": 7, "bbox": [1, 1, 9, 9]},
    ]
    images = {"chelsea.png": CAT, "../gone.jpg": {"id": 7}, "not-asked.jpg": {"id": 8}}
    file = annotation_file(tmp_path, images, annotations)
    # A file of that name beside the folder is not what it names.
    (folder.parent / "gone.jpg").write_bytes((folder / "chelsea.png").read_bytes())
    for _ in range(2):
        asked = attach_prompts(dataset, file, label_field="ovsam", missing_in=folder)
        assert asked.missing == ("../gone.jpg",)
        assert asked.view(dataset).values("filepath") == [
            str(folder / "chelsea.png"),
            str(folder / "gone.jpg"),
        ]
        assert asked.errors == {1: "there is no image ../gone.jpg"}


def test_an_image_of_another_size_than_the_file_says_is_not_asked(folder, tmp_path):
    dataset = import_images(folder)
    annotation = {"id": 1, "image_id": 1, "bbox": [1, 1, 9, 9]}
    file = annotation_file(tmp_path, {"chelsea.png": {**CAT, "width": 902}}, [annotation])
    asked = attach_prompts(dataset, file, label_field="ovsam")
    assert asked.errors == {0: "chelsea.png is 451 x 300, gt.json says 902 x 300"}
    assert asked.labels == {}
    assert asked.view(dataset).first()[asked.field].detections == []


def test_a_turned_photograph_is_measured_as_the_app_shows_it(folder, turned, tmp_path):
    name = shutil.copy(turned, folder).split("/")[-1]
    dataset = import_images(folder)
    annotation = {"id": 1, "image_id": 1, "bbox": [30, 45.1, 150, 90.2]}
    shown = {"id": 1, "width": 300, "height": 451}
    file = annotation_file(tmp_path, {name: shown}, [annotation])
    asked = attach_prompts(dataset, file, label_field="ovsam")
    sample = asked.view(dataset).first()
    (label,) = sample[asked.field].detections
    assert label.bounding_box == pytest.approx([0.1, 0.1, 0.5, 0.2])
    assert (sample.metadata.width, sample.metadata.height) == (300, 451)


def test_sizes_of_a_photograph_as_it_is_stored_are_refused_with_the_reason(
    folder, turned, tmp_path
):
    name = shutil.copy(turned, folder).split("/")[-1]
    dataset = import_images(folder)
    annotation = {"id": 1, "image_id": 1, "bbox": [30, 45, 150, 90]}
    stored = {"id": 1, "width": 451, "height": 300}
    file = annotation_file(tmp_path, {name: stored}, [annotation])
    asked = attach_prompts(dataset, file, label_field="ovsam")
    (reason,) = asked.errors.values()
    assert reason.startswith(f"{name} is 300 x 451, gt.json says 451 x 300")
    assert "EXIF" in reason
    assert asked.labels == {}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("chelsea.png", "chelsea.png"),
        ("images/chelsea.png", "chelsea.png"),
        ("anywhere/chelsea.png", "chelsea.png"),
        ("b/coffee.png", "b/coffee.png"),
        ("a/b/coffee.png", "b/coffee.png"),
        ("c/coffee.png", "coffee.png"),
        ("c/tea.png", None),
        ("helsea.png", None),
    ],
)
def test_file_names_match_with_folders_and_without(folder, tmp_path, name, found):
    for sub, image in (("b", "coffee.png"), ("b", "tea.png")):
        (folder / sub).mkdir(exist_ok=True)
        shutil.copy(folder / "coffee.png", folder / sub / image)
    dataset = import_images(folder)
    annotation = {"id": 1, "image_id": 1, "bbox": [1, 1, 9, 9]}
    file = annotation_file(tmp_path, {name: {"id": 1}}, [annotation])
    asked = attach_prompts(dataset, file, label_field="ovsam", missing_in=None)
    if found is None:
        assert asked.missing == (name,)
        return
    with_root = attach_prompts(dataset, file, label_field="ovsam", missing_in=folder)
    assert with_root.view(dataset).values("filepath") == [str(folder / found)]


def test_a_name_that_several_images_have_is_not_guessed(folder, tmp_path):
    for sub in ("a", "b"):
        (folder / sub).mkdir()
        shutil.copy(folder / "coffee.png", folder / sub / "tea.png")
    dataset = import_images(folder)
    annotation = {"id": 1, "image_id": 1, "bbox": [1, 1, 9, 9]}
    file = annotation_file(tmp_path, {"tea.png": {"id": 1}}, [annotation])
    asked = attach_prompts(dataset, file, label_field="ovsam")
    assert asked.errors == {0: "2 images are called tea.png"}


@pytest.mark.parametrize(
    "name",
    [
        "images\\chelsea.png",
        "C:\\Users\\me\\images\\chelsea.png",
        "train2017/chelsea.png",
        "CHELSEA.PNG",
        "chelsea.jpg",
        "chelsea",
    ],
)
def test_names_as_tools_write_them_are_found_in_folders_and_in_datasets(folder, tmp_path, name):
    made = fo.Dataset()
    made.add_images([str(path) for path in sorted(folder.iterdir())])
    annotation = {"id": 1, "image_id": 1, "bbox": [1, 1, 9, 9]}
    file = annotation_file(tmp_path, {name: CAT}, [annotation])
    for dataset, place in ((import_images(folder), folder), (made, None)):
        asked = attach_prompts(dataset, file, label_field="ovsam", missing_in=place)
        assert asked.errors == {}
        assert asked.view(dataset).values("filepath") == [str(folder / "chelsea.png")]
    made.delete()


@pytest.mark.parametrize(
    "name", ["000123", "clip.mp4", "scan.pcd", "notes.txt", "a" * 300 + ".jpg", "a\0b.jpg"]
)
def test_a_name_that_is_no_images_costs_no_other(folder, tmp_path, name):
    (folder / "notes.txt").write_text("no image")
    dataset = import_images(folder)
    annotations = [{"id": i, "image_id": i, "bbox": [1, 1, 9, 9]} for i in (1, 2)]
    file = annotation_file(tmp_path, {"chelsea.png": CAT, name: {"id": 2}}, annotations)
    asked = attach_prompts(dataset, file, label_field="ovsam", missing_in=folder)
    # One that could be an image becomes a sample, whose labelling fails with the reason.
    becomes = name.endswith(".jpg")
    assert list(asked.labels) == ([0, 1] if becomes else [0])
    assert name in asked.errors[1]
    again = attach_prompts(dataset, file, label_field="ovsam", missing_in=folder)
    assert again.errors == asked.errors
    assert len(dataset) == (4 if becomes else 3)


@pytest.mark.parametrize("name", ["caf\u00e9.png", "caf\udce9.png", "caf\u00e9.jpg"])
def test_a_file_whose_name_the_database_cannot_hold_is_left_out_and_named(folder, tmp_path, name):
    raw = os.path.join(os.fsencode(folder), b"caf\xe9.png")  # noqa: PTH118
    shutil.copy(folder / "chelsea.png", raw)
    dataset = import_images(folder)
    assert len(dataset) == 3
    annotations = [{"id": i, "image_id": i, "bbox": [1, 1, 9, 9]} for i in (1, 2)]
    file = annotation_file(tmp_path, {"chelsea.png": CAT, name: {"id": 2}}, annotations)
    asked = attach_prompts(dataset, file, label_field="ovsam", missing_in=folder)
    assert list(asked.labels) == [0]
    assert asked.errors[1].startswith("the name of caf%E9.png is not in UTF-8")
    assert len(dataset) == 3


def test_a_folder_of_names_that_cannot_be_held_is_refused(tmp_path, images):
    (tmp_path / "im").mkdir()
    raw = os.path.join(os.fsencode(tmp_path / "im"), b"caf\xe9.png")  # noqa: PTH118
    shutil.copy(images[0], raw)
    with pytest.raises(ValueError, match=r"no image in .* can be used: .*caf%E9.png"):
        import_images(tmp_path / "im")


def test_the_sample_of_an_image_that_was_missing_hides_none_that_came(folder, tmp_path):
    dataset = import_images(folder)
    annotation = {"id": 1, "image_id": 1, "bbox": [1, 1, 9, 9]}
    file = annotation_file(tmp_path, {"late.jpg": {"id": 1}}, [annotation])
    ask = {"label_field": "ovsam", "missing_in": folder}
    assert attach_prompts(dataset, file, **ask).missing == ("late.jpg",)
    shutil.copy(folder / "coffee.png", folder / "late.png")
    asked = attach_prompts(import_images(folder), file, **ask)
    assert asked.errors == {}
    assert asked.view(dataset).values("filepath") == [str(folder / "late.png")]


def test_ids_that_are_given_twice_have_a_prompt_each(folder, tmp_path):
    dataset = import_images(folder)
    annotation = {"id": 9, "image_id": 1, "bbox": [45, 30, 90, 150]}
    annotations = [annotation, annotation, {**annotation, "bbox": [1, 1, 9, 9]}]
    file = annotation_file(tmp_path, {"chelsea.png": CAT}, annotations)
    asked = attach_prompts(dataset, file, label_field="ovsam")
    assert len(set(asked.labels.values())) == 3
    labels = asked.view(dataset).first()[asked.field].detections
    assert [label.id for label in labels] == list(asked.labels.values())
    assert attach_prompts(dataset, file, label_field="ovsam").labels == asked.labels


def test_polygons_of_an_image_without_a_size_are_placed_by_the_photograph(folder, tmp_path):
    dataset = import_images(folder)
    square = [[10, 20, 31, 20, 31, 41, 10, 41]]
    annotation = {"id": 1, "image_id": "1", "segmentation": square}
    file = annotation_file(tmp_path, {"chelsea.png": {"id": 1.0}}, [annotation], "center-point")
    asked = attach_prompts(dataset, file, label_field="ovsam")
    (label,) = asked.view(dataset).first()[asked.field].keypoints
    assert label.points[0] == pytest.approx([20.5 / 451, 30.5 / 300])


def test_two_samples_of_one_name_in_a_dataset_are_not_guessed(folder, tmp_path):
    (folder / "b").mkdir()
    shutil.copy(folder / "coffee.png", folder / "b" / "chelsea.png")
    made = fo.Dataset()
    made.add_images([str(folder / "chelsea.png"), str(folder / "b" / "chelsea.png")])
    annotation = {"id": 1, "image_id": 1, "bbox": [1, 1, 9, 9]}
    file = annotation_file(tmp_path, {"chelsea.png": {"id": 1}}, [annotation])
    asked = attach_prompts(made, file, label_field="ovsam")
    assert asked.errors == {0: "2 images are called chelsea.png"}
    made.delete()


def test_boxes_on_a_phones_heic_lie_where_they_are_written(tmp_path, photographs):
    import pillow_heif

    (tmp_path / "im").mkdir()
    picture = Image.open(photographs["chelsea.png"]).convert("RGB").resize((400, 300))
    pillow_heif.from_pillow(picture).save(tmp_path / "im" / "phone.HEIC")
    dataset = import_images(tmp_path / "im")
    annotation = {"id": 1, "image_id": 1, "bbox": [40, 30, 80, 150]}
    for size, asked_for in (
        ({}, 1),
        ({"width": 400, "height": 300}, 1),
        ({"width": 7, "height": 7}, 0),
    ):
        file = annotation_file(tmp_path, {"phone.jpg": {"id": 1, **size}}, [annotation])
        asked = attach_prompts(dataset, file, label_field="ovsam", missing_in=tmp_path / "im")
        assert len(asked.labels) == asked_for
        boxes = dataset.values(f"{asked.field}.detections.bounding_box")
        assert boxes == ([[pytest.approx([0.1, 0.1, 0.2, 0.5])]] if asked_for else [[]])
    dataset.delete()


@pytest.mark.parametrize("ids_a_query", [1, 2, 100])
def test_more_samples_than_a_query_holds_are_asked_all_the_same(
    folder, tmp_path, monkeypatch, ids_a_query
):
    monkeypatch.setattr(importing, "IDS_A_QUERY", ids_a_query)
    monkeypatch.setattr(importing, "in_parts", lambda ids: in_parts(ids, ids_a_query))
    dataset = import_images(folder)
    boxes = [{"id": i, "image_id": i, "bbox": [10 * i, 0, 50, 50]} for i in (2, 1)]
    file = annotation_file(tmp_path, {"coffee.png": CUP, "chelsea.png": CAT}, boxes)
    asked = attach_prompts(dataset, file, label_field="ovsam")
    view = asked.view(dataset)
    assert set(view.values("id")) == set(asked.samples.values())
    assert sorted(view.values(f"{asked.field}.detections.annotation_id")) == [["1"], ["2"]]
    assert set(asked.labels.values()) == set(
        view.values(f"{asked.field}.detections.id", unwind=True)
    )


def test_a_name_from_the_dataset_s_folder_is_one_photograph_whatever_lies_deeper(tmp_path):
    folder = tmp_path / "im"
    for place in (folder, folder / "day2"):
        place.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (60, 40)).save(place / "IMG_1.png")
    dataset = import_images(folder)
    asks = [{"id": 1, "image_id": 1, "bbox": [1, 2, 30, 20]}]
    for name in ("IMG_1.png", "day2/IMG_1.png"):
        path = tmp_path / "gt.json"
        content = {
            "images": [{"id": 1, "file_name": name, "width": 60, "height": 40}],
            "annotations": [{**asks[0], "category_id": 1}],
            "categories": [{"id": 1, "name": "cat"}],
        }
        path.write_text(json.dumps(content))
        asked = attach_prompts(dataset, read_annotations(path, "box"), label_field="ovsam")
        assert asked.errors == {}
        (found,) = asked.view(dataset).values("filepath")
        assert found == str(folder / name)
