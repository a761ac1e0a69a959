from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from ovsam_plugin.network import resample
from ovsam_plugin.network.ovsam import mask_boxes
from ovsam_plugin.network.resample import MaskResampler, pack_rows


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


def painted(
    resampler: MaskResampler, low: torch.Tensor, original: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """(N, H, W) bool from (N, h, w) logits."""
    found = np.zeros((len(low), *original), dtype=bool)
    for i, x, y, mask in resampler.masks(low, mask_boxes(low > 0).numpy()):
        found[i, y : y + mask.shape[0], x : x + mask.shape[1]] = mask
    return found


def all_logits(
    resampler: MaskResampler, low: torch.Tensor, box: tuple[int, int, int, int]
) -> torch.Tensor:
    """Of one mask, inside a box."""
    cells = np.array([[0, 0, *low.shape[::-1]]])
    (found,) = resampler.logits(low[None], np.array([0]), cells, np.array([box]), 10**9)
    return found[0]


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
    plain = whole(low, padded, resized, original)
    resampler = MaskResampler.build(cells, padded, resized, original)
    different = painted(resampler, low[None], original)[0] != (plain > 0).numpy()
    assert np.abs(plain.numpy()[different]).max(initial=0) < 1e-4


def test_logits_are_those_of_two_bilinear_resizings() -> None:
    low = smooth_logits(64, 1)
    resampler = MaskResampler.build(64, 256, (171, 256), (427, 640))
    plain = whole(low, 256, (171, 256), (427, 640))
    torch.testing.assert_close(
        all_logits(resampler, low, (100, 50, 300, 200)),
        plain[50:200, 100:300],
        atol=1e-5,
        rtol=1e-4,
    )


def test_a_mask_wholly_in_the_padding_is_empty() -> None:
    low = torch.full((64, 64), -5.0)
    low[60:, :] = 5
    resampler = MaskResampler.build(64, 256, (128, 256), (100, 200))
    assert not list(resampler.masks(low[None], mask_boxes(low[None] > 0).numpy()))


def test_a_large_mask_made_in_strips_is_the_mask_made_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    low = smooth_logits(64, 3)
    resampler = MaskResampler.build(64, 256, (256, 200), (500, 390))
    at_once = painted(resampler, low[None], (500, 390))
    monkeypatch.setattr(resample, "_AT_ONCE", 390 * 7)
    np.testing.assert_array_equal(at_once, painted(resampler, low[None], (500, 390)))


WINDOW = (30.0, 12.0, 86.0, 54.0)
RESIZED, ORIGINAL = (96, 128), (240, 320)


def over(*frames: tuple[float, float, float, float]) -> MaskResampler:
    return MaskResampler.windows((56, 56), np.array(frames), RESIZED, ORIGINAL)


def over_window(resampler: MaskResampler, low: torch.Tensor) -> torch.Tensor:
    return all_logits(resampler, low, (0, 0, ORIGINAL[1], ORIGINAL[0]))


def test_logits_over_a_window_lie_where_the_window_does() -> None:
    """A ramp of x and y in pixels of the resized image is that ramp of the original's pixels."""
    x1, y1, x2, y2 = WINDOW
    share = (torch.arange(56) + 0.5) / 56
    low = (x1 + share * (x2 - x1))[None, :] - 2 * (y1 + share * (y2 - y1))[:, None]
    found = over_window(over(WINDOW), low)
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
    (mask,) = painted(over(frame), low[None], ORIGINAL)
    assert mask[:200, :150].all()
    assert mask.sum() == 200 * 150


def test_a_window_wholly_off_the_photograph_holds_no_mask() -> None:
    low = torch.full((56, 56), 5.0)
    assert not painted(over((200.0, 0.0, 260.0, 60.0)), low[None], ORIGINAL).any()


@settings(max_examples=30, deadline=None)
@given(
    x1=st.floats(-20, 100), y1=st.floats(-20, 70), w=st.floats(1.3, 90), h=st.floats(1.3, 90),
    seed=st.integers(0, 1000),
)  # fmt: skip
def test_a_window_mask_from_its_box_alone_is_the_whole_windows(
    x1: float, y1: float, w: float, h: float, seed: int
) -> None:
    low = smooth_logits(56, seed)
    resampler = over((x1, y1, x1 + w, y1 + h))
    whole_mask = (over_window(resampler, low) > 0).numpy()
    np.testing.assert_array_equal(painted(resampler, low[None], ORIGINAL)[0], whole_mask)


@pytest.mark.parametrize("most", [2_000, 20_000, 10**9])
def test_many_masks_are_made_together_as_each_is_alone(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every size, some empty, some off the photograph; in batches large and small."""
    draw = np.random.default_rng(4)
    corners = draw.uniform(-30, 110, (60, 2))
    frames = np.concatenate([corners, corners + draw.uniform(1.3, 1.3**17, (60, 2))], 1)
    low = torch.stack([smooth_logits(56, i) - (i % 5) * 0.4 for i in range(60)])
    low[7] = -1
    alone = [
        painted(over((*frame,)), one[None], ORIGINAL)[0] for frame, one in zip(frames.tolist(), low)
    ]
    monkeypatch.setattr(resample, "_AT_ONCE", most)
    together = painted(over(*frames.tolist()), low, ORIGINAL)
    np.testing.assert_array_equal(together, alone)
    assert 20 < together.any((1, 2)).sum() < 60

    whole_frame = MaskResampler.build(56, 224, (168, 224), ORIGINAL)
    alone = [painted(whole_frame, one[None], ORIGINAL)[0] for one in low]
    np.testing.assert_array_equal(painted(whole_frame, low, ORIGINAL), alone)


def test_no_more_is_computed_at_once_than_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    bmm = torch.bmm

    def watched(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        made = bmm(a, b)
        sizes.append(made.numel() if a.shape[1] != 56 else 0)
        return made

    monkeypatch.setattr(torch, "bmm", watched)
    monkeypatch.setattr(resample, "_AT_ONCE", 30_000)
    low = torch.stack([smooth_logits(56, i) for i in range(50)])
    painted(over(*[(0.0, 0.0, 128.0, 96.0)] * 50), low, ORIGINAL)
    assert 10_000 < max(sizes) <= 30_000


@pytest.mark.parametrize("width", [1, 8, 13, 64])
def test_masks_are_packed_as_numpy_packs_them(width: int) -> None:
    masks = torch.rand(3, 5, width) > 0.5
    np.testing.assert_array_equal(pack_rows(masks).numpy(), np.packbits(masks.numpy(), axis=2))


@pytest.mark.parametrize("held", [1, 10**9])
def test_masks_that_are_packed_on_their_device_are_the_same(
    held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packed and fetched as from an accelerator, some at a time or all at once."""
    draw = np.random.default_rng(6)
    corners = draw.uniform(-30, 110, (20, 2))
    frames = np.concatenate([corners, corners + draw.uniform(2, 90, (20, 2))], 1).tolist()
    low = torch.stack([smooth_logits(56, i) for i in range(20)])
    plain = painted(over(*frames), low, ORIGINAL)
    fetched = []
    cpu = torch.Tensor.cpu

    def came(tensor: torch.Tensor) -> torch.Tensor:
        fetched.append(tensor.dtype)
        return cpu(tensor)

    monkeypatch.setattr(torch.Tensor, "cpu", came)
    monkeypatch.setattr(resample, "is_at_hand", lambda tensor: False)
    monkeypatch.setattr(resample, "_PACKED_AT_ONCE", held)
    monkeypatch.setattr(resample, "_AT_ONCE_ACCELERATED", 40_000)
    np.testing.assert_array_equal(painted(over(*frames), low, ORIGINAL), plain)
    assert set(fetched) == {torch.uint8}
    assert (len(fetched) == 1) == (held > 1)
