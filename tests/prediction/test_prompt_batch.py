"""Prompts of any kinds on their way into a network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ovsam_plugin.images.frame import Frame
from ovsam_plugin.images.mask_crop import MaskCrop
from ovsam_plugin.prediction.predictor import load_predictor
from ovsam_plugin.prediction.prompt_batch import alike, prompt_batch
from ovsam_plugin.prediction.prompts import Box, Inputs, Mask, Points, Prompt, Size

WIDTH, HEIGHT = 40, 20
CPU = torch.device("cpu")
# Encoded at one and a half times its size.
FRAME = Frame(np.zeros((30, 60, 3), np.uint8), (HEIGHT, WIDTH))
xs, ys = st.integers(0, WIDTH - 1), st.integers(0, HEIGHT - 1)

boxes = st.builds(
    lambda x, y, w, h: Box((x, y, x + w, y + h)), xs, ys, st.integers(1, 50), st.integers(1, 50)
)
points = st.lists(st.tuples(xs, ys), min_size=1, max_size=3).flatmap(
    lambda xy: st.lists(st.integers(0, 1), min_size=len(xy), max_size=len(xy)).map(
        lambda marks: Points(tuple(xy), (1, *marks[1:]))
    )
)
pixel = np.ones((1, 1), bool)
masks = st.builds(
    lambda x, y, refine: Mask(MaskCrop.pack(pixel, x, y), refine, size=(HEIGHT, WIDTH)),
    xs,
    ys,
    st.booleans(),
)
prompts = st.lists(st.one_of(boxes, points, masks), max_size=12)


@settings(max_examples=100, deadline=None)
@given(prompts, st.integers(1, 4))
def test_every_prompt_is_decoded_once_with_its_like(asked: list[Prompt], chunk: int) -> None:
    parts = list(alike(asked, chunk))
    assert sorted(i for part in parts for i in part) == list(range(len(asked)))
    for part in parts:
        assert 1 <= len(part) <= chunk
        assert len({asked[i].shape for i in part}) == 1
        batch = prompt_batch([asked[i] for i in part], FRAME, (32, 64), CPU)
        assert len(batch) == len(part)
        for row, i in enumerate(part):
            prompt = asked[i]
            if isinstance(prompt, Points):
                assert batch.points is not None
                assert batch.point_labels is not None
                np.testing.assert_allclose(batch.points[row] / 1.5, prompt.xy, rtol=1e-6)
                assert batch.point_labels[row].tolist() == list(prompt.labels)
                continue
            assert batch.boxes is not None
            corners = prompt.crop.box if isinstance(prompt, Mask) else prompt.xyxy
            np.testing.assert_allclose(batch.boxes[row] / 1.5, corners, rtol=1e-6)
            assert (batch.masks is None) == isinstance(prompt, Box)


@settings(max_examples=100, deadline=None)
@given(prompts, st.sampled_from([0.25, 0.5, 2.0]), st.sampled_from([0.5, 4.0]))
def test_a_prompt_mapped_and_back_is_the_same(asked: list[Prompt], x: float, y: float) -> None:
    for prompt in asked:
        if isinstance(prompt, Mask):
            with pytest.raises(TypeError, match="a mask prompt has a size of its own"):
                prompt.mapped(lambda xy: xy * (x, y))
            continue
        there = prompt.mapped(lambda xy: xy * (x, y))
        assert there.mapped(lambda xy: xy / (x, y)) == prompt
        assert (there.shape, there.id) == (prompt.shape, prompt.id)
        numbers = np.array(prompt.numbers()).reshape(-1, 3 if prompt.kind == "point" else 2)
        moved = np.array(there.numbers()).reshape(numbers.shape)
        np.testing.assert_array_equal(moved[:, :2], numbers[:, :2] * (x, y))


@settings(max_examples=100, deadline=None)
@given(prompts)
def test_a_prompt_on_its_image_stays_there(asked: list[Prompt]) -> None:
    for prompt in asked:
        placed = prompt.on_image(WIDTH, HEIGHT)
        again = placed.on_image(WIDTH, HEIGHT)
        assert again is placed or again == placed
        assert (placed.drawn is not None) == (isinstance(prompt, Mask) and not prompt.refine)
        if isinstance(placed, Box):
            x1, y1, x2, y2 = placed.xyxy
            assert 0 <= x1 < x2 <= WIDTH
            assert 0 <= y1 < y2 <= HEIGHT
        assert placed.within == (placed.xyxy if isinstance(placed, Box) else None)


@dataclass(frozen=True)
class Circle(Points):
    """A kind of prompt that only this file knows: the middle of a thing, and its size."""

    kind = "circle"
    pointed_at = None
    radius: float = 5.0

    @property
    def within(self) -> tuple[float, float, float, float]:
        (x, y), r = self.xy[0], self.radius
        return x - r, y - r, x + r, y + r

    def inputs(self, size: Size, frame: Size) -> Inputs:
        return Box(self.within).inputs(size, frame)


def test_a_new_kind_of_prompt_is_answered_without_another_file() -> None:
    predictor = load_predictor(device="cpu")
    rng = np.random.default_rng(0)
    encoding = predictor.encode([predictor.preprocess(rng.integers(0, 255, (64, 96, 3), np.uint8))])
    circles = [Circle(((30.0, 20.0),)), Circle(((50.0, 40.0),), radius=12)]
    found = predictor.decode(encoding[0], circles)
    boxes = predictor.decode(encoding[0], [Box(circle.within) for circle in circles])
    assert [prompt.kind for prompt in found.prompts] == ["circle", "circle"]
    np.testing.assert_array_equal(found.boxes, boxes.boxes)
    np.testing.assert_array_equal(found.head_embeddings, boxes.head_embeddings)
