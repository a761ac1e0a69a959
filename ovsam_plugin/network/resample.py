"""Mask logits back to the photograph's own pixels, only where a mask is, many masks at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

Ints = npt.NDArray[np.int64]
# Cells around a mask's own that bilinear interpolation can take part of.
_MARGIN = 2
# Numbers in one batch of upsampled masks, or in one strip of a larger one: what stays in the caches
# of a CPU, and little memory where a whole 12,000 x 9,000 photograph is one mask.
_AT_ONCE = 300_000
# On an accelerator it is the number of batches that costs.
_AT_ONCE_ACCELERATED = 64_000_000
# Bytes of packed masks that wait on an accelerator to cross together.
_PACKED_AT_ONCE = 256_000_000
# Weights of a byte's bits, the first pixel first, as numpy packs them.
_BITS = (128, 64, 32, 16, 8, 4, 2, 1)


@dataclass(frozen=True)
class _Span:
    """Consecutive pixels, and the cells that they are made of, along one axis, for n masks.

    Attributes:
        pixels: (n,) the first pixel of each.
        length: how many pixels.
        cells: (n,) the first cell of each.
        depth: how many cells.
    """

    pixels: Ints
    length: int
    cells: Ints
    depth: int

    @property
    def each_pixel(self) -> Ints:
        """(n, length)."""
        return self.pixels[:, None] + np.arange(self.length)

    @property
    def each_cell(self) -> Ints:
        """(n, depth)."""
        return self.cells[:, None] + np.arange(self.depth)


class _Axis(Protocol):
    """Bilinear weights of original pixels, along one axis, over cells of logits."""

    def reach(self, first: Ints, last: Ints) -> tuple[Ints, Ints]:
        """Pixels that some of the cells first to last (exclusive) of each of N masks can reach.

        It may be a pixel more than they reach; the last is exclusive.
        """

    def weights(self, masks: Ints, span: _Span, device: torch.device) -> Tensor:
        """(n, length, depth) float32, of n of the N masks.

        Pixels beyond the photograph have any weights.
        """


@dataclass(frozen=True)
class _Shared:
    """One (pixels, cells) matrix for all masks."""

    matrix: Tensor

    def reach(self, first: Ints, last: Ints) -> tuple[Ints, Ints]:
        weighed = self.matrix.numpy() > 0
        lowest = weighed.argmax(1)
        highest = weighed.shape[1] - 1 - weighed[:, ::-1].argmax(1)
        return np.searchsorted(highest, first), np.searchsorted(lowest, last)

    def weights(self, masks: Ints, span: _Span, device: torch.device) -> Tensor:
        pixels = torch.from_numpy(span.each_pixel.clip(max=len(self.matrix) - 1))
        chosen = self.matrix[pixels[:, :, None], torch.from_numpy(span.each_cell)[:, None]]
        return chosen.to(device, non_blocking=True)


@dataclass(frozen=True)
class _Windows:
    """A window for each mask.

    Attributes:
        cells: of the logits along the axis.
        start, stop: (N,) float64, the windows in pixels of the resized image.
        scale: pixels of the resized image an original one.
        pixels: of the original.
    """

    cells: int
    start: npt.NDArray[np.float64]
    stop: npt.NDArray[np.float64]
    scale: float
    pixels: int

    def reach(self, first: Ints, last: Ints) -> tuple[Ints, Ints]:
        # Outside its window a mask is off.
        low, high = (
            (self.start + (place + 0.5) / self.cells * (self.stop - self.start)) / self.scale - 0.5
            for place in ((first - 1).clip(min=-0.5), last.clip(max=self.cells - 0.5))
        )
        begin, end = np.floor(low), np.ceil(high) + 1
        return (
            begin.clip(0, self.pixels).astype(np.int64),
            end.clip(0, self.pixels).astype(np.int64),
        )

    def weights(self, masks: Ints, span: _Span, device: torch.device) -> Tensor:
        start, stop = self.start[masks, None], self.stop[masks, None]
        middles = (span.each_pixel + 0.5) * self.scale
        place = (middles - start) / (stop - start) * self.cells - 0.5
        inside = (place >= -0.5) & (place <= self.cells - 0.5)
        place = place.clip(0, self.cells - 1)
        lower = np.floor(place).clip(max=max(self.cells - 2, 0)).astype(np.int64)
        share = (place - lower).astype(np.float32)
        taps = np.stack([lower, (lower + 1).clip(max=self.cells - 1)], -1)
        taps -= span.cells[:, None, None]
        parts = np.stack([1 - share, share], -1)
        parts *= inside[..., None] & (taps >= 0) & (taps < span.depth)
        weights = torch.zeros(*lower.shape, span.depth, device=device)
        return weights.scatter_add_(
            2,
            torch.from_numpy(taps.clip(0, span.depth - 1)).to(device, non_blocking=True),
            torch.from_numpy(parts).to(device, non_blocking=True),
        )


@dataclass(frozen=True)
class MaskResampler:
    """The reference's two resizings (logits to the padded square, its image part to the original).

    Both are bilinear, so they are separable and linear: their product is one small matrix an axis,
    and any rows and columns of the result can be had without the rest. Made by `build` or
    `windows`.
    """

    rows: _Axis
    columns: _Axis

    @classmethod
    def windows(
        cls,
        cells: tuple[int, int],
        frames: npt.NDArray[np.floating],
        resized: tuple[int, int],
        original: tuple[int, int],
    ) -> MaskResampler:
        """For the logits of N masks, each over a window of a (h, w) image of an (H, W) original.

        Args:
            cells: rows and columns of the logits.
            frames: (N, 4), the windows, xyxy in pixels of the resized image; outside its own a
                mask has logits of 0.
        """
        x1, y1, x2, y2 = np.asarray(frames, dtype=np.float64).reshape(-1, 4).T
        (h, w), (height, width) = resized, original
        return cls(
            _Windows(cells[0], y1, y2, h / height, height),
            _Windows(cells[1], x1, x2, w / width, width),
        )

    @classmethod
    def build(
        cls, cells: int, padded: int, resized: tuple[int, int], original: tuple[int, int]
    ) -> MaskResampler:
        """For logits of cells x cells on a padded square holding a (h, w) image of (H, W)."""
        up = _bilinear_matrix(cells, padded)
        rows, columns = (
            _Shared(_bilinear_matrix(part, whole) @ up[:part])
            for part, whole in zip(resized, original)
        )
        return cls(rows, columns)

    def masks(
        self, low: Tensor, cells: Ints
    ) -> Iterator[tuple[int, int, int, npt.NDArray[np.bool_]]]:
        """The masks at the original size that have pixels, each somewhat larger than its own box.

        They are made a batch at a time, those of like size together. On an accelerator they are
        packed there, and many batches cross to the CPU at once.

        Args:
            low: (N, rows, columns) float32 logits, on any device.
            cells: (N, 4) int64 xyxy in cells, around the positive ones; zeros for no mask.

        Yields:
            Which of the N it is, in any order; x and y of its top-left pixel; a (h, w) bool array.
        """
        x1, x2 = self.columns.reach(cells[:, 0], cells[:, 2])
        y1, y2 = self.rows.reach(cells[:, 1], cells[:, 3])
        boxes = np.stack([x1, y1, x2, y2], 1)
        solid = (cells[:, 2] > cells[:, 0]) & (boxes[:, 2:] > boxes[:, :2]).all(1)
        on_cpu = is_at_hand(low)
        most, held = (_AT_ONCE, 0) if on_cpu else (_AT_ONCE_ACCELERATED, _PACKED_AT_ONCE)
        made: list[tuple[Ints, Tensor]] = []
        batches = list(_alike(np.flatnonzero(solid), boxes, most))
        for some in batches:
            on = [part > 0 for part in self.logits(low[some], some, cells[some], boxes[some], most)]
            parts = on if on_cpu else [pack_rows(part) for part in on]
            made.append((some, parts[0] if len(parts) == 1 else torch.cat(parts, 1)))
            if some is not batches[-1] and sum(part.numel() for _, part in made) < held:
                continue
            arrays = _fetched([part for _, part in made])
            for (rows, _), masks in zip(made, arrays):
                for i, mask in zip(rows.tolist(), masks):
                    left, top, right, bottom = boxes[i].tolist()
                    own = mask[: bottom - top]
                    own = own if on_cpu else np.unpackbits(own, axis=1).view(bool)
                    yield i, left, top, own[:, : right - left]
            made = []

    def logits(
        self, low: Tensor, masks: Ints, cells: Ints, boxes: Ints, most: int
    ) -> Iterator[Tensor]:
        """Logits inside boxes of original pixels, of n of the N masks.

        Args:
            low: (n, rows, columns) float32, of these masks.
            masks: (n,) which they are.
            cells: (n, 4) int64, xyxy in cells; what is further off than two cells is taken as 0.
            boxes: (n, 4) int64, xyxy in original pixels.
            most: numbers in one strip.

        Yields:
            (n, strip, w) float32 from each box's top-left pixel on; the strips together are as
            large as the largest box, and what lies outside a mask's own box means nothing.
        """
        n, device = len(boxes), low.device
        width, height = (boxes[:, 2:] - boxes[:, :2]).max(0).tolist()
        (left, wide), (top, high) = (
            _room(cells[:, axis], cells[:, axis + 2], low.shape[2 - axis]) for axis in (0, 1)
        )
        across = _Span(boxes[:, 0], width, left, wide)
        down = _Span(boxes[:, 1], height, top, high)
        if (high, wide) != low.shape[1:]:
            rows, columns = torch.from_numpy(down.each_cell), torch.from_numpy(across.each_cell)
            low = low[torch.arange(n)[:, None, None], rows[:, :, None], columns[:, None]]
        part = torch.bmm(low, self.columns.weights(masks, across, device).transpose(1, 2))
        strip = max(1, most // (n * width))
        for start in range(0, height, strip):
            lines = _Span(boxes[:, 1] + start, min(strip, height - start), top, high)
            yield torch.bmm(self.rows.weights(masks, lines, device), part)


def _room(first: Ints, last: Ints, cells: int) -> tuple[Ints, int]:
    """Equally many cells for each mask, around its own: the first of each, and how many."""
    depth = min(int((last - first).max()) + 2 * _MARGIN, cells)
    return (first - _MARGIN).clip(0, cells - depth), depth


def is_at_hand(tensor: Tensor) -> bool:
    """Whether the CPU reads it without a transfer."""
    return tensor.device.type == "cpu"


def pack_rows(masks: Tensor) -> Tensor:
    """(n, h, w) bool -> (n, h, w / 8) uint8, a bit a pixel as `np.packbits(axis=2)` has them."""
    padded = F.pad(masks, (0, -masks.shape[2] % 8))
    bits = padded.reshape(*masks.shape[:2], -1, 8).to(torch.uint8)
    weights = torch.tensor(_BITS, dtype=torch.uint8).to(masks.device, non_blocking=True)
    return torch.sum(bits * weights, 3, dtype=torch.uint8)


def _bilinear_matrix(source: int, target: int) -> Tensor:
    """(target, source) weights of `F.interpolate(mode="bilinear")` along one axis."""
    columns = torch.eye(source)[None, None]
    return F.interpolate(columns, size=(target, source), mode="bilinear", align_corners=False)[0, 0]


def _alike(masks: Ints, boxes: Ints, most: int) -> Iterator[Ints]:
    """Masks of like size together, so that little is computed for nothing, and at most so many
    numbers at once; a larger one alone."""
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    kinds = np.log2(width[masks]).astype(np.int64)
    order = masks[np.lexsort((height[masks], kinds))]
    start = 0
    while start < len(order):
        stop, wide, high = start, 0, 0
        while stop < len(order):
            wide, high = max(wide, width[order[stop]]), max(high, height[order[stop]])
            if stop > start and wide * high * (stop + 1 - start) > most:
                break
            stop += 1
        yield order[start:stop]
        start = stop


def _fetched(tensors: Sequence[Tensor]) -> Iterator[npt.NDArray[np.generic]]:
    """Tensors of one dtype as arrays; those on an accelerator are fetched in one transfer."""
    if is_at_hand(tensors[0]):
        yield from (tensor.numpy() for tensor in tensors)
        return
    flat = torch.cat([tensor.flatten() for tensor in tensors]).cpu().numpy()
    start = 0
    for tensor in tensors:
        yield flat[start : start + tensor.numel()].reshape(tensor.shape)
        start += tensor.numel()
