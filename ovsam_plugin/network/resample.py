"""Mask logits back to the photograph's own pixels, only where a mask is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

# Cells around a mask's low-resolution box that bilinear interpolation can still make positive.
_MARGIN = 2
# Numbers in one strip of an upsampled mask, so that a whole 12,000 x 9,000 photograph fits.
_STRIP = 8_000_000


def _bilinear_matrix(source: int, target: int) -> Tensor:
    """(target, source) weights of `F.interpolate(mode="bilinear")` along one axis."""
    columns = torch.eye(source)[None, None]
    return F.interpolate(columns, size=(target, source), mode="bilinear", align_corners=False)[0, 0]


def _window_matrix(cells: int, start: float, stop: float, scale: float, length: int) -> Tensor:
    """(length, cells) bilinear weights of original pixels in a window; rows outside it are 0."""
    middles = (torch.arange(length, dtype=torch.float64) + 0.5) * scale
    place = (middles - start) / (stop - start) * cells - 0.5
    inside = torch.nonzero((place >= -0.5) & (place <= cells - 0.5)).squeeze(1)
    place = place[inside].clamp(0, cells - 1)
    lower = place.floor().clamp(max=max(cells - 2, 0)).long()
    weights = torch.zeros(length, cells)
    share = (place - lower).float()
    weights[inside, lower] = 1 - share
    weights[inside, (lower + 1).clamp(max=cells - 1)] += share
    return weights


@dataclass(frozen=True)
class MaskResampler:
    """The reference's two resizings (logits to the padded square, its image part to the original).

    Both are bilinear, so they are separable and linear: their product is one small matrix an axis,
    and any rows and columns of the result can be had without the rest.

    Attributes:
        rows: (H, cells) float32.
        columns: (W, cells) float32.
    """

    rows: Tensor
    columns: Tensor

    @classmethod
    def window(
        cls,
        cells: tuple[int, int],
        frame: tuple[float, float, float, float],
        resized: tuple[int, int],
        original: tuple[int, int],
    ) -> MaskResampler:
        """For logits over a window of a (h, w) image of an (H, W) original.

        Args:
            cells: rows and columns of the logits.
            frame: the window, xyxy in pixels of the resized image; outside it logits are 0.
        """
        x1, y1, x2, y2 = frame
        (h, w), (height, width) = resized, original
        return cls(
            _window_matrix(cells[0], y1, y2, h / height, height),
            _window_matrix(cells[1], x1, x2, w / width, width),
        )

    @classmethod
    def build(
        cls, cells: int, padded: int, resized: tuple[int, int], original: tuple[int, int]
    ) -> MaskResampler:
        """For logits of cells x cells on a padded square holding a (h, w) image of (H, W)."""
        up = _bilinear_matrix(cells, padded)
        rows, columns = (
            _bilinear_matrix(part, whole) @ up[:part] for part, whole in zip(resized, original)
        )
        return cls(rows, columns)

    def logits(self, low: Tensor, box: tuple[int, int, int, int]) -> Tensor:
        """Logits inside an xyxy box of original pixels: (cells, cells) -> (y2 - y1, x2 - x1)."""
        x1, y1, x2, y2 = box
        return self.rows[y1:y2] @ (low @ self.columns[x1:x2].T)

    def region(self, box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        """The original pixels that an xyxy box of low-resolution cells can reach."""
        x1, y1, x2, y2 = box
        spans = []
        for weights, first, last in ((self.columns, x1, x2), (self.rows, y1, y2)):
            size, cells = weights.shape
            reached = weights[:, max(first - _MARGIN, 0) : min(last + _MARGIN, cells)].sum(1) > 0
            index = torch.nonzero(reached).squeeze(1)
            spans.append((int(index[0]), int(index[-1]) + 1) if len(index) else (0, 0))
        return spans[0][0], spans[1][0], spans[0][1], spans[1][1]

    def mask(
        self, low: Tensor, box: tuple[int, int, int, int]
    ) -> tuple[tuple[int, int, int, int], npt.NDArray[np.bool_]]:
        """The mask at the original size, cut to its own box.

        Args:
            low: (cells, cells) float32 logits on the CPU.
            box: xyxy in cells, around the positive ones.

        Returns:
            Its xyxy box in original pixels (zeros if no pixel is on) and the crop.
        """
        x1, y1, x2, y2 = self.region(box)
        nothing = (0, 0, 0, 0), np.zeros((0, 0), dtype=bool)
        if x2 <= x1 or y2 <= y1:
            return nothing
        strip = max(1, _STRIP // (x2 - x1))
        parts = [
            self.logits(low, (x1, y, x2, min(y + strip, y2))).gt(0).numpy()
            for y in range(y1, y2, strip)
        ]
        mask = parts[0] if len(parts) == 1 else np.concatenate(parts)
        on_rows, on_columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if not len(on_rows):
            return nothing
        top, bottom = int(on_rows[0]), int(on_rows[-1]) + 1
        left, right = int(on_columns[0]), int(on_columns[-1]) + 1
        own = (x1 + left, y1 + top, x1 + right, y1 + bottom)
        return own, np.ascontiguousarray(mask[top:bottom, left:right])
