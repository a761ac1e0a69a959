"""Where things may lie on a photograph."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ovsam_plugin.images.reading import read_image
from ovsam_plugin.prediction.predictor import Encoding, Predictor, load_predictor
from ovsam_plugin.prediction.proposing import LARGE, boxes_at, proposals_of_all_sizes, to_boxes


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return load_predictor("ovsam-lite", device="cpu")


@pytest.fixture(scope="module")
def encoding(predictor: Predictor, photographs: dict[str, Path]) -> Encoding:
    (found,) = predictor.encode([predictor.preprocess(read_image(photographs["chelsea.png"]))])
    return found


def test_large_things_of_a_second_look_come_after_those_of_the_first(
    predictor: Predictor, encoding: Encoding
) -> None:
    first = predictor.proposals(encoding)
    found = proposals_of_all_sizes(predictor, encoding)
    assert first is not None
    assert found is not None
    count = first.boxes.shape[1]
    assert torch.equal(found.boxes[:, :count], first.boxes)
    more = found.boxes[0, count:]
    assert len(more) > 0
    assert found.logits.shape[1] == found.boxes.shape[1]
    sides = (more[:, 2:] - more[:, :2]).amax(1)
    height, width = encoding.frame.size
    assert sides.min() >= LARGE * max(height, width) - 1e-3
    assert (more[:, 0::2] <= width).all()
    assert (more[:, 1::2] <= height).all()


def test_what_is_kept_is_not_made_again(predictor: Predictor, encoding: Encoding) -> None:
    kept = proposals_of_all_sizes(predictor, encoding)
    assert proposals_of_all_sizes(predictor, replace(encoding, all_proposals=kept)) is kept


def test_boxes_under_a_point_grow_and_lie_on_the_photograph(
    predictor: Predictor, encoding: Encoding
) -> None:
    boxes = boxes_at(predictor, encoding, 230, 120)
    assert 1 <= len(boxes) <= 3
    for box in boxes:
        x1, y1, x2, y2 = box.xyxy
        assert 0 <= x1 < x2 <= 451.01
        assert 0 <= y1 < y2 <= 300.01
    assert any(b.xyxy[0] < 230 < b.xyxy[2] and b.xyxy[1] < 120 < b.xyxy[3] for b in boxes)


def test_a_network_that_guesses_nothing_proposes_nothing(
    predictor: Predictor, encoding: Encoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(predictor), "proposals", lambda self, encoding: None)
    assert boxes_at(predictor, encoding, 230, 120) == []
    assert proposals_of_all_sizes(predictor, encoding) is None


def test_input_pixels_become_those_of_the_photograph(encoding: Encoding) -> None:
    corners = np.array([[10.0, 20, 110, 220]])
    (box,) = to_boxes(encoding.frame, torch.from_numpy(corners * np.tile(encoding.frame.scale, 2)))
    assert np.allclose(box.xyxy, corners[0], atol=1e-6)
