from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ovsam_plugin.prediction.instances import Instances, PackedMasks
from ovsam_plugin.prediction.prompts import Box

Shape = st.tuples(st.integers(0, 9), st.integers(0, 9))


@given(st.lists(Shape.flatmap(lambda shape: arrays(bool, shape)), max_size=5))
def test_packed_masks_are_read_as_they_were(masks: list[np.ndarray]) -> None:
    packed = PackedMasks.pack(masks)
    assert len(packed) == len(masks)
    for ours, mask in zip(packed, masks):
        assert ours.dtype == bool
        np.testing.assert_array_equal(ours, mask)


def make(count: int) -> Instances:
    boxes = np.array([[i, i, i + 2, i + 1] for i in range(count)], dtype=np.int64).reshape(-1, 4)
    return Instances(
        image_size=(10, 12),
        boxes=boxes,
        masks=PackedMasks.pack([np.ones((1, 2), dtype=bool)] * count),
        stability=np.arange(count, dtype=np.float32),
        objectness=np.arange(count, dtype=np.float32) / 4,
        head_embeddings=np.eye(count, 4, dtype=np.float32),
        clip_embeddings=np.eye(count, 4, dtype=np.float32),
        prompts=tuple(Box((i, i, i + 2, i + 1), id=str(i)) for i in range(count)),
    )


@pytest.mark.parametrize(
    ("keep", "ids"),
    [
        (np.array([2, 0]), ["2", "0"]),
        (np.array([False, True, True]), ["1", "2"]),
        (np.zeros(3, dtype=bool), []),
    ],
)
def test_instances_are_chosen_by_index_or_by_truth(keep: np.ndarray, ids: list[str]) -> None:
    chosen = make(3)[keep]
    assert [p.id for p in chosen.prompts] == ids
    assert chosen.stability.tolist() == [float(i) for i in ids]
    assert chosen.objectness.tolist() == [float(i) / 4 for i in ids]
    assert chosen.boxes[:, 0].tolist() == [int(i) for i in ids]
    assert len(chosen.masks) == len(chosen) == len(ids)


def test_parts_put_together_keep_their_order() -> None:
    both = Instances.concatenate([make(2), make(3)])
    assert [p.id for p in both.prompts] == ["0", "1", "0", "1", "2"]
    assert both.objectness.tolist() == [0, 0.25, 0, 0.25, 0.5]
    assert len(both.masks) == 5


def test_a_full_mask_lies_where_its_box_is() -> None:
    mask = make(3).full_mask(2)
    assert mask.shape == (10, 12)
    assert np.argwhere(mask).tolist() == [[2, 2], [2, 3]]


def test_an_empty_box_is_an_empty_instance() -> None:
    instances = make(2)
    instances.boxes[1] = 0
    assert instances.empty.tolist() == [False, True]
