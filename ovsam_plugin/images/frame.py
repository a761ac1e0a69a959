"""A photograph made ready for the encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ovsam_plugin.network.description import NetworkDescription

# The coarsest stride of an encoder.
_MULTIPLE = 32


@dataclass(frozen=True, eq=False)
class Frame:
    """A photograph made ready for the encoder; small, on the CPU, safe to send between processes.

    Attributes:
        pixels: (h, w, 3) uint8 RGB, long side resized to the network's.
        original_size: (H, W) of the photograph.
        tiles: overlapping parts of it that are looked at too, each as large to the encoder as the
            whole is.
    """

    pixels: npt.NDArray[np.uint8]
    original_size: tuple[int, int]
    tiles: tuple[Tile, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) of the resized image."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def scale(self) -> npt.NDArray[np.float64]:
        """(2,) factors of x and y from the original to the resized image."""
        (h, w), (height, width) = self.size, self.original_size
        return np.array([w / width, h / height])

    def inside(self, boxes: Tensor) -> Tensor:
        """(..., 4) boxes in input pixels, cut to the photograph."""
        h, w = self.size
        limit = torch.tensor([w, h, w, h], device=boxes.device, dtype=boxes.dtype)
        return torch.minimum(boxes.clamp(min=0), limit)

    def reduced(self, factor: float) -> Frame:
        """The same picture, this many times as large, without tiles."""
        h, w = (max(1, round(side * factor)) for side in self.size)
        pixels = cv2.resize(self.pixels, (w, h), interpolation=cv2.INTER_AREA)
        return Frame(np.asarray(pixels, dtype=np.uint8), self.original_size)


@dataclass(frozen=True, eq=False)
class Tile:
    """A part of a photograph.

    Attributes:
        frame: of the part, as if it were a photograph.
        corner: (2,) float64, x and y of its top-left corner in pixels of the photograph.
        zoom: (2,) float64, pixels of the photograph a pixel of `frame.original_size`, x and y.
    """

    frame: Frame
    corner: npt.NDArray[np.float64]
    zoom: npt.NDArray[np.float64]

    @property
    def box(self) -> tuple[float, float, float, float]:
        """xyxy in pixels of the photograph."""
        height, width = self.frame.original_size
        x1, y1 = self.corner.tolist()
        return x1, y1, x1 + width * float(self.zoom[0]), y1 + height * float(self.zoom[1])

    def inward(self, xy: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """(N, 2) x and y in the photograph's pixels, in pixels of the tile."""
        return (xy - self.corner) / self.zoom

    def outward(self, xy: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """(N, 2) x and y in the tile's pixels, in pixels of the photograph."""
        return xy * self.zoom + self.corner


def make_frame(
    image: npt.NDArray[np.uint8],
    description: NetworkDescription,
    original_size: tuple[int, int] | None = None,
    tiles: Sequence[tuple[int, int, int, int]] = (),
) -> Frame:
    """Resize so that the long side is the network's.

    Args:
        image: (H, W, 3) uint8 RGB.
        description: of the network; nothing of it but sizes is needed, so that loader processes
            can do this without weights.
        original_size: (H, W) of the photograph, where the image is smaller than that.
        tiles: xyxy parts of the image that are looked at too; see `tiles`.

    Raises:
        TypeError: it is not uint8.
        ValueError: it is not (H, W, 3) with at least one pixel.
    """
    if image.dtype != np.uint8:
        raise TypeError(f"image has dtype {image.dtype}: expected uint8 RGB, 0..255")
    if image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(f"image has shape {image.shape}: expected (height, width, 3)")
    height, width = image.shape[:2]
    scale = description.image_size / max(height, width)
    size = (max(1, int(width * scale + 0.5)), max(1, int(height * scale + 0.5)))
    shrink = description.area_downscale and scale < 1
    method = cv2.INTER_AREA if shrink else cv2.INTER_LINEAR
    pixels = cv2.resize(image, size, interpolation=method)
    original_size = original_size or (height, width)
    zoom = np.array([original_size[1] / width, original_size[0] / height])
    parts = tuple(
        Tile(make_frame(image[y1:y2, x1:x2], description), np.array([x1, y1]) * zoom, zoom)
        for x1, y1, x2, y2 in tiles
    )
    return Frame(np.ascontiguousarray(pixels, dtype=np.uint8), original_size, parts)


def padded_size(frame: Frame, description: NetworkDescription) -> tuple[int, int]:
    """(h, w) that the encoder reads: the network's square, or the next multiples of 32."""
    if description.pad_square:
        return description.image_size, description.image_size
    h, w = (-(-side // _MULTIPLE) * _MULTIPLE for side in frame.size)
    return h, w


def stack_pixels(
    frames: Sequence[Frame],
    description: NetworkDescription,
    size: tuple[int, int],
    device: torch.device,
) -> Tensor:
    """What the encoder reads: (B, 3, h, w) float32, normalised, then padded with zeros.

    Args:
        frames: each at most h x w.
        description: of the network.
        size: (h, w).
        device: where to.
    """
    mean, std = (
        _sent(torch.tensor(values), device).view(3, 1, 1)
        for values in (description.mean, description.std)
    )
    batch = torch.zeros((len(frames), 3, *size), device=device)
    batch = batch.contiguous(memory_format=torch.channels_last)
    for row, frame in zip(batch, frames):
        h, w = frame.size
        image = _sent(torch.from_numpy(frame.pixels), device)
        row[:, :h, :w] = (image.permute(2, 0, 1) - mean) / std
    return batch


def _sent(tensor: Tensor, device: torch.device) -> Tensor:
    """On the device; a copy to CUDA goes on while the CPU prepares the next."""
    if device.type == "cuda":
        # Only from pinned memory does a copy not hold up its caller.
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
