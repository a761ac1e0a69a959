from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from ovsam_plugin.network import resample
from ovsam_plugin.network.resample import MaskResampler


def smooth_logits(cells: int, seed: int) -> torch.Tensor:
    noise = torch.randn(1, 1, 9, 9, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(noise, size=(cells, cells), mode="bicubic")[0, 0]


def whole(
    low: torch.Tensor, padded: int, resized: tuple[int, int], original: tuple[int, int]
) -> torch.Tensor:
    """The plain way: both resizings of the whole image."""
    up = F.interpolate(low[None, None], size=(padded, padded), mode="bilinear")
    cut = up[..., : resized[0], : resized[1]]
    return F.interpolate(cut, size=original, mode="bilinear")[0, 0]


def low_box(low: torch.Tensor) -> tuple[int, int, int, int]:
    at = torch.nonzero(low > 0)
    (y1, x1), (y2, x2) = at.amin(0).tolist(), (at.amax(0) + 1).tolist()
    return x1, y1, x2, y2


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    original=st.tuples(st.integers(1, 300), st.integers(1, 300)),
)
def test_a_mask_from_its_box_alone_is_the_mask_from_the_whole_image(
    seed: int, original: tuple[int, int]
) -> None:
    cells, padded = 32, 128
    scale = padded / max(original)
    resized = (max(1, int(original[0] * scale + 0.5)), max(1, int(original[1] * scale + 0.5)))
    low = smooth_logits(cells, seed)
    low = torch.where(
        torch.rand(low.shape, generator=torch.Generator().manual_seed(seed)) < 0.3, low, -low.abs()
    )
    if not (low > 0).any():
        return
    plain = whole(low, padded, resized, original)
    resampler = MaskResampler.build(cells, padded, resized, original)
    box, crop = resampler.mask(low, low_box(low))
    ours = np.zeros(original, dtype=bool)
    ours[box[1] : box[3], box[0] : box[2]] = crop
    different = ours != (plain > 0).numpy()
    assert np.abs(plain.numpy()[different]).max(initial=0) < 1e-4


def test_logits_are_those_of_two_bilinear_resizings() -> None:
    low = smooth_logits(64, 1)
    resampler = MaskResampler.build(64, 256, (171, 256), (427, 640))
    plain = whole(low, 256, (171, 256), (427, 640))
    torch.testing.assert_close(
        resampler.logits(low, (100, 50, 300, 200)), plain[50:200, 100:300], atol=1e-5, rtol=1e-4
    )


def test_a_mask_wholly_in_the_padding_is_empty() -> None:
    low = torch.full((64, 64), -5.0)
    low[60:, :] = 5
    resampler = MaskResampler.build(64, 256, (128, 256), (100, 200))
    box, crop = resampler.mask(low, low_box(low))
    assert box == (0, 0, 0, 0)
    assert crop.shape == (0, 0)


def test_a_large_mask_made_in_strips_is_the_mask_made_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    low = smooth_logits(64, 3)
    resampler = MaskResampler.build(64, 256, (256, 200), (500, 390))
    at_once = resampler.mask(low, (0, 0, 64, 64))
    monkeypatch.setattr(resample, "_STRIP", 390 * 7)
    in_strips = resampler.mask(low, (0, 0, 64, 64))
    assert at_once[0] == in_strips[0]
    np.testing.assert_array_equal(at_once[1], in_strips[1])


WINDOW = (30.0, 12.0, 86.0, 54.0)
RESIZED, ORIGINAL = (96, 128), (240, 320)


def over_window(resampler: MaskResampler, low: torch.Tensor) -> torch.Tensor:
    return resampler.logits(low, (0, 0, ORIGINAL[1], ORIGINAL[0]))


def test_logits_over_a_window_lie_where_the_window_does() -> None:
    """A ramp of x and y in pixels of the resized image is that ramp of the original's pixels."""
    x1, y1, x2, y2 = WINDOW
    share = (torch.arange(56) + 0.5) / 56
    low = (x1 + share * (x2 - x1))[None, :] - 2 * (y1 + share * (y2 - y1))[:, None]
    found = over_window(MaskResampler.window((56, 56), WINDOW, RESIZED, ORIGINAL), low)
    x = (torch.arange(320) + 0.5) / 2.5
    y = (torch.arange(240) + 0.5) / 2.5
    inside = ((x > x1 + 1) & (x < x2 - 1))[None, :] & ((y > y1 + 1) & (y < y2 - 1))[:, None]
    torch.testing.assert_close(
        found[inside], (x[None, :] - 2 * y[:, None])[inside], atol=1e-3, rtol=0
    )
    outside = ((x < x1) | (x > x2))[None, :] | ((y < y1) | (y > y2))[:, None]
    assert inside.sum() > 10_000
    assert not found[outside].any()


def test_a_window_that_reaches_beyond_the_photograph_is_cut_with_it() -> None:
    frame = (-40.0, -20.0, 60.0, 80.0)
    low = torch.full((56, 56), 5.0)
    box, crop = MaskResampler.window((56, 56), frame, RESIZED, ORIGINAL).mask(low, (0, 0, 56, 56))
    assert box == (0, 0, 150, 200)
    assert crop.all()


def test_a_window_wholly_off_the_photograph_holds_no_mask() -> None:
    low = torch.full((56, 56), 5.0)
    resampler = MaskResampler.window((56, 56), (200.0, 0.0, 260.0, 60.0), RESIZED, ORIGINAL)
    assert resampler.mask(low, (0, 0, 56, 56))[0] == (0, 0, 0, 0)


@settings(max_examples=30, deadline=None)
@given(
    x1=st.floats(-20, 100), y1=st.floats(-20, 70), w=st.floats(1.3, 90), h=st.floats(1.3, 90),
    seed=st.integers(0, 1000),
)  # fmt: skip
def test_a_window_mask_from_its_box_alone_is_the_whole_windows(
    x1: float, y1: float, w: float, h: float, seed: int
) -> None:
    low = smooth_logits(56, seed)
    resampler = MaskResampler.window((56, 56), (x1, y1, x1 + w, y1 + h), RESIZED, ORIGINAL)
    whole_mask = (over_window(resampler, low) > 0).numpy()
    ours = np.zeros(ORIGINAL, dtype=bool)
    if (low > 0).any():
        box, crop = resampler.mask(low, low_box(low))
        ours[box[1] : box[3], box[0] : box[2]] = crop
    np.testing.assert_array_equal(ours, whole_mask)
