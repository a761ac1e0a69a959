"""Prompts read from JSON and masks told in it."""

from __future__ import annotations

import fiftyone as fo
import numpy as np
import pytest

from ovsam_plugin.curation.segment_panel import (
    beside,
    open_photograph,
    read_prompt,
    row_runs,
    vocabulary_of_text,
)
from ovsam_plugin.prediction.prompts import Mask, Points
from tests.operators.panels.test_segment import filled


def test_a_mask_is_told_by_its_runs() -> None:
    rows = np.array([[0, 1, 1], [1, 0, 0]], dtype=bool)
    assert row_runs(rows) == [1, 3, 2]
    assert row_runs(~rows) == [0, 1, 3, 2]
    assert row_runs(np.zeros((0, 0), dtype=bool)) == [0]
    for mask in (rows, ~rows, np.ones((2, 2), dtype=bool), np.zeros((3, 1), dtype=bool)):
        told = {"runs": row_runs(mask), "shape": mask.shape}
        assert (filled(told) == mask).all()


def test_prompts_and_names_are_read_or_refused() -> None:
    size = (40, 60)
    points = read_prompt({"points": [[1, 2, 1], [3, 4, 0]]}, size)
    assert isinstance(points, Points)
    assert points.labels == (1, 0)
    assert read_prompt({"box": [1, 2, 3, 4], "points": None}, size).kind == "box"
    mask = {"at": [10, 20, 14, 26], "shape": [3, 2], "runs": [0, 2, 1, 3]}
    painted = read_prompt({"mask": mask}, size)
    assert isinstance(painted, Mask)
    assert painted.crop.box == (10, 20, 14, 26)
    assert painted.mask[20, 10]
    assert not painted.mask[23, 10]
    for wrong in (
        {},
        {"box": [1, 2]},
        {"points": 3},
        {"points": [[1, 2]]},
        {"mask": {**mask, "runs": [0, 2]}},
        {"mask": {**mask, "runs": [6]}},
        {"mask": {**mask, "at": [10, 20, 14, 41]}},
        {"mask": {**mask, "shape": [9999, 9999]}},
        {"mask": {"runs": [1]}},
    ):
        with pytest.raises(ValueError):
            read_prompt(wrong, size)
    assert vocabulary_of_text("").name == "lvis"
    assert vocabulary_of_text("teapot").names == ("teapot",)
    assert vocabulary_of_text("/etc/passwd").names == ("/etc/passwd",)


def test_the_samples_beside_one_are_those_of_the_view_in_its_order(labelled: fo.Dataset) -> None:
    turned = labelled.sort_by("filepath", reverse=True)
    for view in (labelled.view(), turned, turned.skip(1)):
        ids = view.values("id")
        around = [None, *ids, None]
        for at, one in enumerate(ids):
            assert beside(view, one) == (around[at], around[at + 2])
    first = turned.first().id
    assert beside(turned.skip(1), first) == (turned.last().id, None)
    assert beside(labelled.limit(1).skip(1), first) == (None, None)


def test_of_patches_the_photographs_are_opened_one_after_another(labelled: fo.Dataset) -> None:
    patches = labelled.to_patches("ovsam").sort_by("ovsam.confidence")
    shown = patches.values("sample_id")
    order = list(dict.fromkeys(shown))
    assert [order.index(one) for one in shown] != sorted(order.index(one) for one in shown)
    around = [None, *order, None]
    for at, one in enumerate(order):
        assert beside(patches, one) == (around[at], around[at + 2])
    assert open_photograph(patches, None)["sample_id"] == order[0]
    for patch in patches:
        opened = open_photograph(patches, patch.id)
        assert (opened["sample_id"], opened["filepath"]) == (patch.sample_id, patch.filepath)
    assert open_photograph(patches, order[2])["sample_id"] == order[2]
    assert open_photograph(patches, None)["fields"] == ["ovsam"]
