from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from ovsam_plugin.images import frame as frame_module
from ovsam_plugin.images.frame import Frame, make_frame, padded_size, stack_pixels
from ovsam_plugin.network.ovsam import OVSAM
from ovsam_plugin.prediction.predictor import Predictor
from ovsam_plugin.presets import get_preset

LITE = get_preset("ovsam-lite").network
PAPER = get_preset("ovsam-rn50x16-coco").network
CPU = torch.device("cpu")


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("original", "size"),
    [
        ((427, 640), (683, 1024)),
        ((640, 427), (1024, 683)),
        ((1, 5000), (1, 1024)),
        ((9, 9), (1024, 1024)),
    ],
)
def test_the_long_side_becomes_the_networks_and_each_axis_has_its_own_scale(
    original: tuple[int, int], size: tuple[int, int]
) -> None:
    frame = make_frame(picture(*original), PAPER)
    assert frame.size == size
    assert frame.original_size == original
    assert frame.scale.tolist() == [size[1] / original[1], size[0] / original[0]]
    assert frame.pixels.dtype == np.uint8
    assert frame.pixels.flags.c_contiguous


def test_shrinking_averages_areas_where_the_network_was_trained_so() -> None:
    """Stripes a pixel wide become grey, where plain samples keep some of them."""
    stripes = np.zeros((900, 1280, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    averaged = make_frame(stripes, LITE).pixels.std()
    sampled = make_frame(stripes[:, :-120], replace(LITE, area_downscale=False)).pixels.std()
    assert averaged < 3 < 30 < sampled


@pytest.mark.parametrize(
    ("image", "error", "reason"),
    [
        (np.zeros((4, 4, 3), dtype=np.float32), TypeError, "float32: expected uint8 RGB"),
        (np.zeros((4, 4), dtype=np.uint8), ValueError, "expected (height, width, 3)"),
        (np.zeros((4, 4, 4), dtype=np.uint8), ValueError, "shape (4, 4, 4)"),
        (np.zeros((0, 4, 3), dtype=np.uint8), ValueError, "expected (height, width, 3)"),
    ],
)
def test_what_is_no_rgb_photograph_is_refused(
    image: np.ndarray, error: type[Exception], reason: str
) -> None:
    with pytest.raises(error) as caught:
        make_frame(image, LITE)
    assert reason in str(caught.value)


def test_padding_is_the_papers_square_or_the_next_multiple_of_32() -> None:
    assert padded_size(make_frame(picture(427, 640), PAPER), PAPER) == (1024, 1024)
    assert padded_size(make_frame(picture(427, 640), LITE), LITE) == (448, 640)
    assert padded_size(make_frame(picture(480, 640), LITE), LITE) == (480, 640)


def test_pixels_are_normalised_and_then_padded_with_zeros() -> None:
    frames = [Frame(picture(40, 64), (40, 64)), Frame(picture(64, 30, 1), (64, 30))]
    batch = stack_pixels(frames, LITE, (64, 64), CPU)
    assert batch.shape == (2, 3, 64, 64)
    assert batch.dtype == torch.float32
    for row, frame in zip(batch, frames):
        h, w = frame.size
        expected = (torch.from_numpy(frame.pixels).permute(2, 0, 1).float() - 127) / 128
        torch.testing.assert_close(row[:, :h, :w], expected)
        assert not row[:, h:].any()
        assert not row[:, :, w:].any()


def test_a_frame_is_safe_to_send_to_another_process() -> None:
    frame = make_frame(picture(30, 50), LITE)
    again = pickle.loads(pickle.dumps(frame))
    np.testing.assert_array_equal(again.pixels, frame.pixels)
    assert again.original_size == frame.original_size


def test_photographs_of_different_shapes_in_one_batch_get_what_they_get_alone() -> None:
    """Two of one padded size, one of another, and one turned: in their own order."""
    torch.manual_seed(0)
    preset = replace(get_preset("ovsam-lite"), network=replace(LITE, image_size=128))
    predictor = Predictor(OVSAM(preset.network), preset, "random")
    shapes = ((90, 128), (128, 60), (96, 128), (60, 128))
    frames = [predictor.preprocess(picture(*shape, i)) for i, shape in enumerate(shapes)]
    sizes = [padded_size(frame, preset.network) for frame in frames]
    assert sizes == [(96, 128), (128, 64), (96, 128), (64, 128)]
    together = predictor.encode(frames)
    for frame, encoding in zip(frames, together):
        (alone,) = predictor.encode([frame])
        assert encoding.frame is frame
        assert encoding.features.image.shape == alone.features.image.shape
        ours, theirs = encoding.features, alone.features
        assert ours.regions is not None
        assert theirs.regions is not None
        pairs = [(ours.image, theirs.image), (ours.last, theirs.last)]
        pairs += zip(ours.pyramid, theirs.pyramid)
        pairs += zip(ours.regions.levels, theirs.regions.levels)
        for a, b in pairs:
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("kind", "pinned"), [("cuda", 1), ("mps", 0), ("cpu", 0)])
def test_only_what_goes_to_cuda_is_pinned_and_no_copy_is_waited_for(
    kind: str, pinned: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pins, copies = [], []

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        pins.append(tensor)
        return tensor

    def to(tensor: torch.Tensor, *args: object, **kwargs: object) -> torch.Tensor:
        copies.append((args, kwargs))
        return tensor

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    monkeypatch.setattr(torch.Tensor, "to", to)
    frame_module._sent(torch.zeros(3), torch.device(kind))
    assert len(pins) == pinned
    assert copies == [((torch.device(kind),), {"non_blocking": True})]
