from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from ovsam_plugin.training.crops import Crop, Jitter, _warp, cut, large_scale, near_an_instance


def square(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A photograph that is white exactly where its one mask is."""
    mask = np.zeros((height, width), dtype=np.uint8)
    mask[height // 4 : height // 2, width // 4 : width // 2] = 1
    return np.repeat(mask[:, :, None] * 255, 3, axis=2).astype(np.uint8), mask


def random_crop(seed: int, jitter: Jitter, side: int = 128) -> Crop:
    picture, mask = square(200, 300)
    rng = np.random.default_rng(seed)
    matrix = jitter((200, 300), [mask], side, rng)
    return cut(picture, [mask], [7], matrix, side, 5, rng)


@pytest.mark.parametrize("jitter", [near_an_instance, large_scale])
def test_masks_move_with_the_photograph_at_every_zoom_and_flip(jitter: Jitter) -> None:
    held = 0
    for seed in range(40):
        crop = random_crop(seed, jitter)
        assert crop.pixels.shape == (3, 128, 128)
        assert crop.pixels.dtype == torch.uint8
        if not len(crop.masks):
            continue
        held += 1
        assert crop.classes.tolist() == [7]
        bright = crop.pixels.float().mean(0) > 128
        # The changed light moves the edge by part of a pixel, which is much of a small thing.
        least = 0.85 if crop.masks[0].sum() > 500 else 0.7
        assert (bright & crop.masks[0]).sum() > least * (bright | crop.masks[0]).sum()
        x1, y1, x2, y2 = crop.boxes[0].int().tolist()
        inside = crop.masks[0, y1:y2, x1:x2]
        assert crop.masks[0].sum() == inside.sum()
        assert inside[0].any()
        assert inside[-1].any()
        assert inside[:, 0].any()
        assert inside[:, -1].any()
    assert held >= 20


def test_most_crops_near_an_instance_hold_it() -> None:
    assert sum(len(random_crop(seed, near_an_instance).masks) for seed in range(20)) >= 18


@pytest.mark.parametrize("size", [(200, 300), (600, 100)])
def test_large_scale_jitter_stays_within_its_range_and_on_the_photograph(
    size: tuple[int, int],
) -> None:
    side, zooms, flips = 64, [], 0
    height, width = size
    for seed in range(400):
        matrix = large_scale(size, [], side, np.random.default_rng(seed))
        assert matrix[0, 1] == matrix[1, 0] == 0
        assert abs(matrix[0, 0]) == matrix[1, 1]
        zoom = matrix[1, 1]
        zooms.append(zoom * max(size) / side)
        flipped = matrix[0, 0] < 0
        flips += flipped
        # Where the photograph's own edges come to lie.
        x = sorted((matrix[0, 2], matrix[0, 0] * width + matrix[0, 2]))
        y = matrix[1, 2], zoom * height + matrix[1, 2]
        for low, high, length in ((*x, width), (*y, height)):
            if length * zoom >= side:
                assert low <= 1e-6
                assert high >= side - 1e-6
            else:
                assert low == pytest.approx(0)
    assert 0.1 <= min(zooms) < 0.15
    assert 1.95 < max(zooms) <= 2.0
    assert np.mean(zooms) == pytest.approx(1.05, abs=0.1)
    assert flips / 400 == pytest.approx(0.5, abs=0.08)


def test_zoom_near_an_instance_stays_within_its_range() -> None:
    zooms = [
        near_an_instance((200, 300), [], 64, np.random.default_rng(seed))[1, 1] * 300 / 64
        for seed in range(200)
    ]
    assert 0.75 <= min(zooms) < 0.85
    assert 2.3 < max(zooms) <= 2.6


IDENTITY = np.array([[1.0, 0, 0], [0, 1, 0]])


def test_a_crop_keeps_no_more_instances_than_asked_and_different_ones_each_time() -> None:
    picture, mask = square(128, 128)
    chosen = set()
    for seed in range(6):
        rng = np.random.default_rng(seed)
        crop = cut(picture, [mask] * 9, list(range(9)), IDENTITY, 128, 4, rng)
        assert len(crop.masks) == len(crop.boxes) == len(crop.classes) == 4
        chosen.add(tuple(crop.classes.tolist()))
    assert len(chosen) == 6


def test_instances_of_a_few_pixels_are_left_out() -> None:
    picture, mask = square(128, 128)
    speck = np.zeros_like(mask)
    speck[3:10, 3:11] = 1
    crop = cut(picture, [speck, mask], [1, 2], IDENTITY, 128, 4, np.random.default_rng(0))
    assert crop.classes.tolist() == [2]


def test_the_light_changes_and_the_masks_do_not() -> None:
    picture, mask = square(64, 64)
    a, b = (cut(picture, [mask], [0], IDENTITY, 64, 4, np.random.default_rng(s)) for s in (0, 1))
    assert not torch.equal(a.pixels, b.pixels)
    assert torch.equal(a.masks[0], torch.from_numpy(mask).bool())
    assert torch.equal(a.masks, b.masks)


def test_a_photograph_without_instances_gives_a_crop_without_any() -> None:
    picture, _ = square(50, 80)
    crop = cut(picture, [], [], IDENTITY, 64, 4, np.random.default_rng(0))
    assert crop.masks.shape == (0, 64, 64)
    assert crop.boxes.shape == (0, 4)
    assert crop.classes.dtype == torch.int64
    assert not crop.whole


def test_a_crop_that_shrinks_averages_areas_and_stays_under_its_mask() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (400, 400, 3), dtype=np.uint8)
    shrunk = _warp(noise, np.array([[0.25, 0, 0], [0, 0.25, 0]]), 100)
    assert shrunk.std() < 0.35 * noise.std()
    picture = np.zeros((400, 400, 3), dtype=np.uint8)
    picture[100:300, 40:200] = 255
    for matrix in ([[0.4, 0, 7], [0, 0.4, -9]], [[-0.4, 0, 150], [0, 0.4, 3]]):
        placed = np.array(matrix, dtype=np.float64)
        seen = _warp(picture, placed, 160)[..., 0] > 127
        mask = cv2.warpAffine(picture[..., 0], placed, (160, 160), flags=cv2.INTER_NEAREST) > 127
        assert (seen & mask).sum() / (seen | mask).sum() > 0.96
