"""Instances cut out of their photographs."""

from __future__ import annotations

import numpy as np
import pytest

from ovsam_plugin.images.mask_crop import MaskCrop
from ovsam_plugin.namers.cuts import BARE, DEFAULT_CUTS, Cut, cut_out, fitted, read_cuts

FILL = (10, 20, 30)


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8)


def crop_at(box: tuple[int, int, int, int]) -> MaskCrop:
    """All of a box but its first column."""
    x1, y1, x2, y2 = box
    mask = np.ones((y2 - y1, x2 - x1), bool)
    mask[:, 0] = False
    return MaskCrop.pack(mask, x1, y1)


def test_the_bare_instance_lies_on_plain_colour(image: np.ndarray) -> None:
    picture = cut_out(image, crop_at((10, 20, 30, 30)), BARE, FILL)
    assert picture.shape == (20, 20, 3)
    np.testing.assert_array_equal(picture[5:15, 1:], image[20:30, 11:30])
    outside = np.ones((20, 20), bool)
    outside[5:15, 1:] = False
    assert (picture[outside] == FILL).all()


def test_a_margin_shows_the_surroundings_as_they_are(image: np.ndarray) -> None:
    picture = cut_out(image, crop_at((30, 20, 50, 30)), Cut(0.25, 1.0), FILL)
    np.testing.assert_array_equal(picture, image[10:40, 25:55])


def test_a_dimmed_background_lies_between_and_the_instance_is_as_it_was(image: np.ndarray) -> None:
    picture = cut_out(image, crop_at((30, 20, 50, 30)), Cut(0.25, 0.5), FILL).astype(int)
    seen = image[10:40, 25:55].astype(int)
    inside = np.zeros((30, 30), bool)
    inside[10:20, 6:25] = True
    np.testing.assert_array_equal(picture[inside], seen[inside])
    middle = (seen + np.array(FILL)) / 2
    assert np.abs(picture - middle)[~inside].max() <= 1


def test_what_lies_beyond_the_photograph_is_plain_colour(image: np.ndarray) -> None:
    picture = cut_out(image, crop_at((0, 50, 20, 60)), Cut(0.5, 1.0), FILL)
    assert picture.shape == (40, 40, 3)
    np.testing.assert_array_equal(picture[:25, 10:], image[35:60, 0:30])
    assert (picture[25:] == FILL).all()
    assert (picture[:, :10] == FILL).all()


@pytest.mark.parametrize("side", [1, 7, 40])
def test_a_picture_is_fitted_to_a_square(image: np.ndarray, side: int) -> None:
    assert fitted(image[:30, :30], side).shape == (side, side, 3)
    np.testing.assert_array_equal(fitted(image[:30, :30], 30), image[:30, :30])


def test_cuts_are_read_from_text_and_written_the_same() -> None:
    cuts = read_cuts("0.1:0.5, 0.4")
    assert cuts == (Cut(0.1, 0.5), Cut(0.4, 1.0))
    assert read_cuts(", ".join(map(str, cuts))) == cuts
    assert read_cuts(None) == DEFAULT_CUTS
    assert read_cuts([BARE]) == (BARE,)


@pytest.mark.parametrize("text", ["", "near", "0.1:some", "-1:0", "0.1:2", "nan:0", "9:1"])
def test_what_is_no_cut_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="cut"):
        read_cuts(text)
