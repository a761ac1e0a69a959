"""AP is pycocotools' on COCO files and lvis-api's on LVIS files, within 1e-6."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import math
from typing import Any

import hotcoco
import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ovsam_plugin.evaluation.average_precision import (
    COCO_KEYS,
    LVIS_KEYS,
    MaskPrecision,
    average_precision,
)
from ovsam_plugin.evaluation.resampling import Interval

SIZE = 128
CLASSES = 5


def rectangle(rng: np.random.Generator) -> np.ndarray:
    mask = np.zeros((SIZE, SIZE), dtype=np.uint8)
    x, y = rng.integers(0, SIZE - 4, 2)
    height, width = rng.integers(2, rng.choice([20, 60, 120]), 2)
    mask[y : y + height, x : x + width] = 1
    return mask


def encode(mask: np.ndarray) -> dict[str, Any]:
    rle = coco_mask.encode(np.asfortranarray(mask))
    return {"size": rle["size"], "counts": rle["counts"].decode()}


def files(seed: int, *, lvis: bool) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A truth with crowds or with LVIS's lists, images without anything, and tied scores."""
    rng = np.random.default_rng(seed)
    images, annotations, results = [], [], []
    for image_id in range(1, 13):
        masks = [(rectangle(rng), int(rng.integers(1, CLASSES + 1))) for _ in range(image_id % 5)]
        present = {category for _, category in masks}
        image = {"id": image_id, "height": SIZE, "width": SIZE}
        if lvis:
            absent = [c for c in range(1, CLASSES + 1) if c not in present]
            image["neg_category_ids"] = [c for c in absent if rng.random() < 0.5]
            image["not_exhaustive_category_ids"] = [c for c in present if rng.random() < 0.4]
        images.append(image)
        for mask, category in masks:
            rle = encode(mask)
            annotations.append({
                "id": len(annotations) + 1, "image_id": image_id, "category_id": category,
                "segmentation": rle, "area": int(mask.sum()), "bbox": [0, 0, 1, 1],
                "iscrowd": int(not lvis and rng.random() < 0.2),
            })  # fmt: skip
            near = np.roll(mask, int(rng.integers(0, 5)), axis=int(rng.integers(0, 2)))
            results.append(answer(image_id, near, category, rng))
        for _ in range(image_id % 4):
            results.append(answer(image_id, rectangle(rng), int(rng.integers(1, CLASSES + 1)), rng))
    categories = [{"id": c, "name": f"c{c}", "frequency": "rcf"[c % 3], "synset": f"c{c}.n.01"}
                  for c in range(1, CLASSES + 1)]  # fmt: skip
    return {"images": images, "annotations": annotations, "categories": categories}, results


def answer(
    image_id: int, mask: np.ndarray, category: int, rng: np.random.Generator
) -> dict[str, Any]:
    return {
        "image_id": image_id, "category_id": category, "segmentation": encode(mask),
        "score": round(float(rng.random()), 1),
    }  # fmt: skip


def by_pycocotools(truth: dict[str, Any], results: list[dict[str, Any]]) -> dict[str, float]:
    with contextlib.redirect_stdout(io.StringIO()):
        annotations = COCO()
        annotations.dataset = copy.deepcopy(truth)
        annotations.createIndex()
        detections = annotations.loadRes(copy.deepcopy(results))
        evaluator = COCOeval(annotations, detections, "segm")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return dict(zip(COCO_KEYS, evaluator.stats[:6]))


def by_lvis_api(
    truth: dict[str, Any], results: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> dict[str, float]:
    # lvis-api asks numpy for what it dropped in 1.24: nothing else of it needs help.
    monkeypatch.setattr(np, "float", float, raising=False)
    from lvis import LVIS, LVISEval, LVISResults

    logging.getLogger("lvis").setLevel(logging.ERROR)
    annotations = LVIS.__new__(LVIS)
    annotations.logger = logging.getLogger("lvis")
    annotations.dataset = copy.deepcopy(truth)
    annotations._create_index()
    evaluator = LVISEval(annotations, LVISResults(annotations, copy.deepcopy(results)), "segm")
    evaluator.run()
    found: dict[str, float] = evaluator.get_results()
    return found


def same(ours: dict[str, float], theirs: dict[str, float]) -> None:
    for key, value in ours.items():
        assert value == pytest.approx(theirs[key], abs=1e-6) or (
            math.isnan(value) and theirs[key] == -1
        ), key


@pytest.mark.parametrize("seed", range(8))
def test_coco_figures_are_those_of_pycocotools(seed: int) -> None:
    truth, results = files(seed, lvis=False)
    ours = average_precision(truth, results)
    assert tuple(ours) == COCO_KEYS
    assert 0 < ours["AP"] < 1
    same(ours, by_pycocotools(truth, results))


@pytest.mark.parametrize("seed", range(8))
def test_lvis_figures_are_those_of_lvis_api(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    truth, results = files(seed, lvis=True)
    ours = average_precision(truth, results, federated=True)
    assert tuple(ours) == LVIS_KEYS
    assert 0 < ours["AP"] < 1
    same(ours, by_lvis_api(truth, results, monkeypatch))


def test_the_federated_rules_change_the_figures() -> None:
    truth, results = files(1, lvis=True)
    assert (
        average_precision(truth, results)["AP"]
        < average_precision(truth, results, federated=True)["AP"]
    )


def test_no_answer_at_all_is_worth_nothing() -> None:
    truth, _ = files(2, lvis=False)
    assert average_precision(truth, [])["AP"] == 0


def test_answers_on_other_images_and_classes_count_for_nothing() -> None:
    truth, results = files(3, lvis=False)
    others = [{**results[0], "image_id": 999}, {**results[0], "category_id": 999}]
    assert average_precision(truth, [*results, *others]) == average_precision(truth, results)


def painted(classes: list[int], shift: int = 0) -> list[dict[str, Any]]:
    """Answers to `squares`, one a photograph, of these classes; 0 answers nothing."""
    return [
        {"image_id": i, "category_id": c, "segmentation": encode(square(shift)), "score": 0.5}
        for i, c in enumerate(classes, start=1)
        if c
    ]


def square(shift: int = 0) -> np.ndarray:
    mask = np.zeros((SIZE, SIZE), dtype=np.uint8)
    mask[40:60, 40 + shift : 60 + shift] = 1
    return mask


def squares(count: int) -> dict[str, Any]:
    """A square of class 1 on each photograph."""
    images = [{"id": i, "height": SIZE, "width": SIZE} for i in range(1, count + 1)]
    things = [
        {"id": i, "image_id": i, "category_id": 1, "segmentation": encode(square()), "area": 400,
         "bbox": [40, 40, 20, 20], "iscrowd": 0}
        for i in range(1, count + 1)
    ]  # fmt: skip
    categories = [{"id": c, "name": f"c{c}", "frequency": "f"} for c in (1, 2)]
    return {"images": images, "annotations": things, "categories": categories}


@pytest.mark.parametrize(
    ("kind", "rows"),
    [
        ("Cls", painted([1, 1, 1, 2])),  # another name
        ("Loc", painted([1, 1, 1, 0]) + painted([0, 0, 0, 1], shift=9)),  # IoU 0.38
        ("Bkg", painted([1, 1, 1, 1]) + painted([0, 0, 0, 1], shift=60)),
        ("Dupe", painted([1, 1, 1, 1]) + painted([0, 0, 0, 1])),
        ("Miss", painted([1, 1, 1, 0])),
        ("Both", painted([1, 1, 1, 0]) + painted([0, 0, 0, 2], shift=9)),
    ],
)
def test_each_kind_of_error_is_told(kind: str, rows: list[dict[str, Any]]) -> None:
    counts = {e.kind: e.count for e in MaskPrecision(squares(4), rows).errors}
    assert counts[kind] == 1
    missed = kind in ("Miss", "Both")  # what is wrong in both ways mends no instance
    assert sum(counts.values()) == 1 + (missed and kind != "Miss")
    right = MaskPrecision(squares(4), painted([1, 1, 1, 1])).errors
    assert not any(error.count or error.cost for error in right)


def test_an_instance_called_by_a_class_that_the_truth_has_not_is_wrongly_named() -> None:
    truth = squares(4)
    known = {e.kind: e for e in MaskPrecision(truth, painted([1, 1, 1, 2])).errors}
    other = {e.kind: e for e in MaskPrecision(truth, painted([1, 1, 1, 9])).errors}
    assert other == known
    assert (other["Cls"].count, other["Miss"].count) == (1, 0)


def test_what_is_of_no_class_of_the_truth_may_lie_beside_its_instances() -> None:
    beside = painted([9, 9, 9, 9], shift=60)
    found = MaskPrecision(squares(4), painted([1, 1, 1, 1]) + beside).errors
    assert not any(error.count or error.cost for error in found)


def test_precision_of_some_photographs_and_its_interval() -> None:
    found = MaskPrecision(squares(20), painted([1] * 10 + [2] * 10))
    parts = found.of_images({"first": range(1, 11), "last": range(11, 21)})
    assert (parts["first"]["AP"], parts["last"]["AP"]) == (1, 0)
    interval = found.intervals(200)["AP"]
    assert 0.15 < interval.low < found.figures["AP"] < interval.high < 0.85
    assert "APl" not in found.intervals(10)


def test_two_runs_are_told_apart() -> None:
    worse = MaskPrecision(squares(20), painted([1] * 10 + [2] * 10))
    better = MaskPrecision(squares(20), painted([1] * 20))
    low, high = worse.differences(better, 200)["AP"]
    assert 0.15 < low < 0.5 < high < 0.85
    assert worse.differences(worse, 50)["AP"] == (0, 0)


def large(shift: int = 0) -> np.ndarray:
    mask = np.zeros((SIZE, SIZE), dtype=np.uint8)
    mask[10:120, 10 + shift : 120 + shift] = 1
    return mask


def with_rare(photographs: int, rare: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Small squares of a frequent class on all photographs, a large one of a rare class on some,
    and an answer to each."""
    truth = squares(photographs)
    truth["categories"][1]["frequency"] = "r"
    for i in range(1, rare + 1):
        truth["annotations"].append({
            "id": 1000 + i, "image_id": i, "category_id": 2, "segmentation": encode(large()),
            "area": 110**2, "bbox": [10, 10, 110, 110], "iscrowd": 0,
        })  # fmt: skip
    kept = ("image_id", "category_id", "segmentation")
    rows = [{key: a[key] for key in kept} | {"score": 0.9} for a in truth["annotations"]]
    return truth, rows


def close(bounds: Interval, low: float, high: float) -> bool:
    return bounds == (pytest.approx(low, abs=1e-9), pytest.approx(high, abs=1e-9))


@pytest.mark.parametrize("federated", [False, True])
def test_draws_without_such_an_instance_are_left_out_of_its_interval(federated: bool) -> None:
    truth, rows = with_rare(30, 3)  # a draw in 24 has no large one
    found, none = (MaskPrecision(truth, some, federated=federated) for some in (rows, rows[:30]))
    rare = {"APl", "APr"} & found.figures.keys()
    assert all(close(bounds, 1, 1) for bounds in found.intervals().values())
    for key in rare:
        assert close(none.differences(found)[key], 1, 1)
        assert close(found.differences(none)[key], -1, -1)


@pytest.mark.parametrize("federated", [False, True])
def test_instances_of_too_few_photographs_have_no_interval(federated: bool) -> None:
    truth, rows = with_rare(10, 1)  # a draw in three has no large one
    found = MaskPrecision(truth, rows, federated=federated)
    assert found.figures["APl"] == pytest.approx(1)
    rare = {"APl", "APr"} & found.figures.keys()
    for bounds in (found.intervals(), found.differences(found)):
        assert {key for key, pair in bounds.items() if math.isnan(pair.low)} == rare
        assert all(math.isnan(pair.high) for key, pair in bounds.items() if key in rare)


def test_bounds_are_those_of_the_draws_that_have_an_instance() -> None:
    truth, rows = with_rare(12, 3)  # a draw in 30 has no large one

    def shifted(*columns: int) -> list[dict[str, Any]]:
        masks = ({"segmentation": encode(large(shift))} for shift in columns)
        return [*rows[:12], *(row | mask for row, mask in zip(rows[12:], masks))]

    runs = {"none": [], "all": rows, "some": shifted(0, 10, 20), "others": shifted(25, 10, 5)}
    found = {name: MaskPrecision(truth, said) for name, said in runs.items()}

    def draws(first: str, second: str, rounds: int = 1000) -> np.ndarray:
        """One by one: hotcoco's first has the seed 42, each other the next one."""
        pair = found[first]._evaluator, found[second]._evaluator
        made = (hotcoco.compare(*pair, n_bootstrap=1, seed=42 + i) for i in range(rounds))
        return np.array([one["ci"]["APl"]["lower"] for one in made])

    there = draws("none", "all") > 0
    assert 0.95 < there.mean() < 1
    for bounds, pair in (
        (found["some"].intervals(), ("none", "some")),
        (found["some"].differences(found["others"]), ("some", "others")),
        (found["others"].differences(found["none"]), ("others", "none")),
    ):
        values = draws(*pair)[there]
        for bound, tail in zip(bounds["APl"], (0.025, 0.975)):
            low, high = np.quantile(values, [tail - 0.002, tail + 0.002])  # two draws beside it
            assert low - 1e-9 <= bound <= high + 1e-9
