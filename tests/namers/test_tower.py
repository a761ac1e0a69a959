"""A frozen image encoder by itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ovsam_plugin.namers.tower import Tower
from ovsam_plugin.prediction.predictor import load_predictor


@pytest.fixture(scope="module")
def tower() -> Tower:
    return Tower.of(load_predictor("ovsam-lite", device="cpu"))


@pytest.fixture(scope="module")
def pictures(tower: Tower) -> list[np.ndarray]:
    shape = (tower.crop_size, tower.crop_size, 3)
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, shape, dtype=np.uint8) for _ in range(3)]


def test_pictures_are_embedded_a_few_at_a_time_as_at_once(
    tower: Tower, pictures: list[np.ndarray]
) -> None:
    together = tower.embed_pictures(pictures)
    assert together.shape == (3, tower.description.embed_dim)
    torch.testing.assert_close(
        tower.embed_pictures(pictures, chunk=2), together, atol=1e-4, rtol=1e-3
    )
    assert tower.embed_pictures([]).shape == (0, tower.description.embed_dim)


def test_a_region_is_read_where_its_box_is_and_by_its_weights(tower: Tower) -> None:
    side = tower.description.image_size
    image = np.zeros((side, side, 3), np.uint8)
    image[:, side // 2 :] = np.random.default_rng(0).integers(0, 256, (side, side // 2, 3))
    last, frame = tower.last_stage(image)
    assert last.shape[-2:] == (side // 32, side // 32)
    assert frame.size == (side, side)
    left, right = [0.0, 0, side / 2, side], [side / 2, 0.0, side, side]
    boxes, bins = torch.tensor([left, right, right]), tower.description.encoder_roi_size
    weights = torch.ones(3, bins, bins)
    weights[2, :, bins // 2 :] = 0
    found = torch.nn.functional.normalize(tower.embed_regions(last, boxes, weights), dim=1)
    cosines = found @ found.T
    assert cosines[0, 1] < cosines[1, 2] < 0.9999
    again = tower.embed_regions(last, boxes[1:2], weights[1:2])
    torch.testing.assert_close(
        torch.nn.functional.normalize(again, dim=1)[0], found[1], atol=1e-4, rtol=1e-3
    )


def test_costs_grow_with_what_is_embedded_and_count_parameters_once(tower: Tower) -> None:
    one, three = tower.cost_of_pictures(1), tower.cost_of_pictures(3)
    assert three.multiply_adds == 3 * one.multiply_adds > 0
    assert three.parameters == one.parameters > 0
    assert tower.cost_of_regions(4).parameters == 0
    assert tower.cost_of_regions(4).multiply_adds == 4 * tower.cost_of_regions(1).multiply_adds
    assert tower.cost_of_image().parameters == one.parameters
