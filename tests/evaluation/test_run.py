"""Methods on annotated photographs: what reaches them, and what their answers come to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ovsam_plugin.evaluation.ground_truth import read_ground_truth
from ovsam_plugin.evaluation.metrics import confusions, reliability
from ovsam_plugin.evaluation.protocols import Protocol
from ovsam_plugin.evaluation.splits import apply_split, require_classes
from ovsam_plugin.prediction.prompts import Box
from ovsam_plugin.vocabulary.sources import load_vocabulary
from ovsam_plugin.vocabulary.vocabulary import Vocabulary
from tests.evaluation.conftest import NAMES, Annotate, Painter, evaluate


@pytest.mark.parametrize("protocol", ["box", "center-point", "everything"])
def test_only_the_prompt_reaches_the_method(
    images: list[Path], annotate: Annotate, protocol: Protocol
) -> None:
    """Wrong classes change no prompt; neither does what the protocol does not ask with."""

    def plant(content: dict[str, Any]) -> None:
        for record in content["annotations"]:
            record["category_id"] = 1 if record["category_id"] == 17 else 17
            x, y, w, h = record["bbox"]
            if protocol == "box":
                corners = [x, y, x + 2, y, x + 2, y + 2, x, y + 2]
                record["segmentation"], record["area"] = [corners], 4
            else:
                record["bbox"] = [0, 0, 3, 3]

    asked, rows = [], []
    for path in (annotate(), annotate(plant, "planted.json")):
        method = Painter(NAMES, "cat")
        options = {}
        if protocol == "everything":
            options["finder"] = lambda pixels: [Box((5, 5, 90, 80))]
        result = evaluate(path, images, protocol, method=method, **options).methods[0]
        asked.append(method.asked)
        rows.append(result.rows)
    assert asked[0] == asked[1]
    assert rows[0] == rows[1]
    assert {set(vars(prompt)) <= {"xyxy", "xy", "labels", "id"} for prompt in asked[0]} == {True}


def test_an_area_that_is_text_costs_nothing(images: list[Path], annotate: Annotate) -> None:
    def text(content: dict[str, Any]) -> None:
        for record in content["annotations"]:
            record["area"] = str(record["area"])

    assert evaluate(annotate(text), images).truth == evaluate(annotate(), images).truth


def test_a_broken_annotation_is_told_and_costs_no_other(
    images: list[Path], annotate: Annotate
) -> None:
    def orphan(content: dict[str, Any]) -> None:
        content["annotations"][0]["image_id"] = 77

    evaluated = evaluate(annotate(orphan), images)
    assert len(evaluated.methods[0].outcomes) == 5
    assert any("no image with id 77" in problem for problem in evaluated.problems)


def test_a_crowd_is_not_asked_about_and_costs_nobody(
    images: list[Path], annotate: Annotate
) -> None:
    def crowd(content: dict[str, Any]) -> None:
        content["annotations"][0]["iscrowd"] = 1

    path = annotate(crowd)
    assert len(evaluate(path, images).methods[0].outcomes) == 5
    inside = Box((100, 100, 150, 150))
    (result,) = evaluate(path, images, "everything", finder=lambda pixels: [inside]).methods
    assert len(result.outcomes) == 5
    assert result.surplus == 2  # on the two photographs without a crowd


def test_classes_in_neither_part_of_a_split_are_left_out(
    images: list[Path], annotate: Annotate
) -> None:
    names = Vocabulary("mine", tuple(
        replace(c, split={"cat": "novel", "person": "base"}.get(c.name)) for c in NAMES
    ))  # fmt: skip
    evaluated = evaluate(annotate(), images, vocabulary=names)
    truth = evaluated.methods[0].outcomes.truth
    assert sorted(names.names[i] for i in truth) == ["cat", "cat", "person", "person"]
    assert {c["name"] for c in evaluated.truth["categories"]} == {"cat", "person"}


def test_classes_are_found_by_their_synonyms(images: list[Path], annotate: Annotate) -> None:
    names = load_vocabulary("human|person, mug|cup, kitty|cat")
    (result,) = evaluate(
        annotate(), images, vocabulary=names, method=Painter(names, "kitty")
    ).methods
    assert result.outcomes.right.sum() == 2


def test_classes_of_the_file_that_the_vocabulary_takes_for_one_are_told(
    images: list[Path], annotate: Annotate
) -> None:
    names = load_vocabulary("animal|cat|person, cup")
    method = Painter(names, "animal")
    evaluated = evaluate(annotate(), images, vocabulary=names, method=method)
    assert [note.split(" are one")[0] for note in evaluated.notes] == ["'cat', 'person'"]
    assert evaluate(annotate(), images).notes == ()


def test_a_name_that_the_vocabulary_lacks_is_a_wrong_answer(
    images: list[Path], annotate: Annotate
) -> None:
    method = Painter(load_vocabulary("dog, kite, cat"), "kite", confidence=0.9)
    (result,) = evaluate(annotate(), images, method=method).methods
    assert result.rows == []  # average precision knows no such class
    assert reliability(result.outcomes).error == pytest.approx(0.9)
    found = confusions(result.outcomes, NAMES, result.others)
    assert {(one.truth, one.answer) for one in found} == {(name, "kite") for name in NAMES.names}


def test_classes_that_the_vocabulary_lacks_are_listed(
    images: list[Path], annotate: Annotate
) -> None:
    names = load_vocabulary("cat, dog")
    with pytest.raises(ValueError, match="2 of the classes of truth.json.*'cup', 'person'"):
        evaluate(annotate(), images, vocabulary=names, method=Painter(names, "cat"))


def test_one_bad_image_costs_only_itself_and_is_named(
    images: list[Path], annotate: Annotate
) -> None:
    path = annotate()
    images[1].write_bytes(b"not a picture")
    evaluated = evaluate(path, images)
    assert [path.name for path in evaluated.paths] == ["chelsea.png", "astronaut.png"]
    assert evaluated.methods[0].outcomes.image.tolist() == [0, 0, 1, 1]
    assert len(evaluated.problems) == 1
    assert "coffee.png" in evaluated.problems[0]


def test_masks_and_images_of_another_size_are_named(images: list[Path], annotate: Annotate) -> None:
    def resize(content: dict[str, Any]) -> None:
        content["images"][0]["width"] += 1
        content["annotations"][2]["segmentation"] = {"size": [2, 2], "counts": [0, 4]}

    evaluated = evaluate(annotate(resize), images)
    assert len(evaluated.methods[0].outcomes) == 3
    assert any("chelsea.png" in p and "truth.json says 452" in p for p in evaluated.problems)
    assert any("annotation 3 of coffee.png" in p for p in evaluated.problems)


def test_the_annotations_of_another_data_set_are_refused(annotate: Annotate) -> None:
    with pytest.raises(ValueError, match="none of the 3 images.*another data set"):
        evaluate(annotate(), [])


def test_a_truth_without_instances_of_the_classes_is_refused(
    images: list[Path], annotate: Annotate
) -> None:
    def strip(content: dict[str, Any]) -> None:
        content["annotations"] = []

    with pytest.raises(ValueError, match="no annotation of a class"):
        evaluate(annotate(strip), images)


def test_the_coco_split_applies_to_a_file_of_some_of_its_classes(annotate: Annotate) -> None:
    truth = read_ground_truth(annotate())
    split = apply_split(load_vocabulary("coco"), "coco-48-17")
    places = require_classes(truth.categories, split)
    assert [split.categories[i].split for i in places] == ["novel", "novel", "base"]
    assert np.array_equal(places, [15, 41, 0])
