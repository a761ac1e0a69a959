from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from ovsam_plugin.training.crops import (
    MIN_PIXELS,
    Crop,
    Jitter,
    _warp,
    cut,
    large_scale,
    mostly_whole,
    near_an_instance,
    paste,
)
from tests.training.small import rectangle_crop


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


@pytest.mark.parametrize("jitter", [near_an_instance, large_scale, mostly_whole])
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


@pytest.mark.parametrize("size", [(200, 300), (600, 100)])
def test_half_of_the_crops_for_everything_show_nearly_all_of_the_photograph(
    size: tuple[int, int],
) -> None:
    side, zooms, flips = 64, [], 0
    height, width = size
    for seed in range(400):
        matrix = mostly_whole(size, [], side, np.random.default_rng(seed))
        assert matrix[0, 1] == matrix[1, 0] == 0
        zoom = matrix[1, 1]
        zooms.append(zoom * max(size) / side)
        flips += matrix[0, 0] < 0
        x = sorted((matrix[0, 2], matrix[0, 0] * width + matrix[0, 2]))
        y = matrix[1, 2], zoom * height + matrix[1, 2]
        for low, high, length in ((*x, width), (*y, height)):
            if length * zoom >= side:
                assert low <= 1e-6
                assert high >= side - 1e-6
    assert 0.75 <= min(zooms) < 0.8
    assert 2.3 < max(zooms) <= 2.6
    # Half are between 0.8 and 1.45, and of those nearer to an instance half again.
    near_whole = [0.8 <= zoom <= 1.45 for zoom in zooms]
    assert np.mean(near_whole) == pytest.approx(0.74, abs=0.06)
    assert flips / 400 == pytest.approx(0.5, abs=0.08)


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


def test_instances_that_are_not_kept_are_unknown_and_not_background() -> None:
    picture, mask = square(128, 128)
    columns = [np.zeros_like(mask) for _ in range(3)]
    for i, column in enumerate(columns):
        column[10:60, 40 * i : 40 * i + 30] = 1
    crop = cut(picture, columns, [0, 1, 2], IDENTITY, 128, 2, np.random.default_rng(0))
    (left,) = {0, 1, 2} - set(crop.classes.tolist())
    np.testing.assert_array_equal(crop.unknown.numpy(), columns[left] > 0)
    assert not cut(
        picture, columns, [0, 1, 2], IDENTITY, 128, 3, np.random.default_rng(0)
    ).unknown.any()


def test_what_is_unknown_moves_with_the_photograph() -> None:
    picture, mask = square(200, 300)
    for seed in range(12):
        rng = np.random.default_rng(seed)
        matrix = mostly_whole((200, 300), [mask], 128, rng)
        crop = cut(picture, [mask], [7], matrix, 128, 5, rng, unknown=mask)
        if len(crop.masks):
            np.testing.assert_array_equal(crop.unknown.numpy(), crop.masks[0].numpy())


def test_instances_of_a_few_pixels_are_left_out() -> None:
    picture, mask = square(128, 128)
    speck = np.zeros_like(mask)
    speck[3:10, 3:11] = 1
    crop = cut(picture, [speck, mask], [1, 2], IDENTITY, 128, 4, np.random.default_rng(0))
    assert crop.classes.tolist() == [2]
    np.testing.assert_array_equal(crop.unknown.numpy(), speck > 0)


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


ONTO = rectangle_crop((0, 0, 20, 20), (30, 30, 50, 50), classes=[3, 4], unknown=(40, 0, 60, 20))


class Always:
    """Chance that takes every instance."""

    def random(self) -> float:
        return 0.0


def pasted(other: Crop, onto: Crop = ONTO) -> Crop:
    """All of another crop's instances laid over."""
    return paste(onto, other, Always())  # type: ignore[arg-type]


def test_instances_that_are_pasted_come_with_their_pixels_masks_and_classes() -> None:
    other = rectangle_crop((0, 40, 16, 60), classes=[9])
    other.pixels[:] = 255
    crop = pasted(other)
    assert crop.classes.tolist() == [3, 4, 9]
    assert torch.equal(crop.masks[:2], ONTO.masks)
    assert torch.equal(crop.masks[2], other.masks[0])
    assert crop.boxes[2].tolist() == [0, 40, 16, 60]
    assert (crop.pixels[:, other.masks[0]] == 255).all()
    assert torch.equal(crop.pixels[:, ~other.masks[0]], ONTO.pixels[:, ~other.masks[0]])
    assert torch.equal(crop.unknown, ONTO.unknown)


def test_what_is_pasted_over_is_no_longer_seen() -> None:
    """Ten of twenty columns of the first, and all of what is unknown but its edge."""
    crop = pasted(rectangle_crop((10, 0, 56, 20), classes=[9]))
    assert crop.classes.tolist() == [3, 4, 9]
    assert crop.boxes[0].tolist() == [0, 0, 10, 20]
    assert crop.masks[0].sum() == 200
    assert crop.unknown.nonzero().amin(0).tolist() == [0, 56]
    assert crop.unknown.sum() == 4 * 20


def test_an_instance_that_is_hidden_for_more_than_half_is_unknown() -> None:
    crop = pasted(rectangle_crop((9, 0, 30, 20), classes=[9]))
    assert crop.classes.tolist() == [4, 9]
    rest = torch.zeros(64, 64, dtype=torch.bool)
    rest[:20, :9] = True
    assert torch.equal(crop.unknown, rest | ONTO.unknown)
    # Of a small one too little is left to teach, though it is half.
    small = rectangle_crop((0, 0, 10, 10))
    cover = rectangle_crop((5, 0, 30, 10), classes=[9])
    assert MIN_PIXELS > 50
    assert pasted(cover, small).classes.tolist() == [9]


def test_half_of_the_other_crops_instances_are_pasted() -> None:
    other = rectangle_crop((0, 40, 16, 60), (20, 52, 40, 62), classes=[8, 9])
    rng = np.random.default_rng(0)
    counts = [len(paste(ONTO, other, rng).masks) - 2 for _ in range(200)]
    assert np.mean(counts) == pytest.approx(1, abs=0.15)
    assert set(counts) == {0, 1, 2}
    assert paste(ONTO, rectangle_crop(), np.random.default_rng(0)) is ONTO
