"""How an instance is cut out of its photograph, to be looked at as a picture of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from ovsam_plugin.images.mask_crop import MaskCrop
from ovsam_plugin.images.reading import Pixels

_FARTHEST = 8.0


@dataclass(frozen=True)
class Cut:
    """One way to cut.

    Attributes:
        margin: what is added on each side of the mask's own box, as a share of its longer side.
        background: how much is left of what is not the instance, 0 (plain colour) to 1 (all).

    Raises:
        ValueError: a number is out of range.
    """

    margin: float = 0.0
    background: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.margin <= _FARTHEST:
            raise ValueError(f"the margin of a cut is 0 to {_FARTHEST:g}, got {self.margin}")
        if not 0 <= self.background <= 1:
            raise ValueError(f"the background of a cut is 0 to 1, got {self.background}")

    def __str__(self) -> str:
        return f"{self.margin:g}:{self.background:g}"


BARE = Cut()
"""The instance alone, as large as fits."""

DEFAULT_CUTS = (Cut(0.1, 0.5), Cut(0.4, 1.0))
"""Near with its surroundings dimmed, and farther with them as they are."""


def read_cuts(given: str | Sequence[Cut] | None) -> tuple[Cut, ...]:
    """Ways to cut, whose embeddings are averaged.

    Args:
        given: as "0.1:0.5, 0.4:1", a margin and a background each (1 where it is left out); or
            cuts. `DEFAULT_CUTS` when None.

    Raises:
        ValueError: there are none, or one is not as above.
    """
    if given is None:
        return DEFAULT_CUTS
    if isinstance(given, str):
        given = [_read(text) for text in given.split(",") if text.strip()]
    if not given:
        raise ValueError('cuts are a margin and a background each, such as "0.1:0.5, 0.4:1"')
    return tuple(given)


def _read(text: str) -> Cut:
    margin, _, background = text.partition(":")
    try:
        numbers = float(margin), float(background or 1)
    except ValueError:
        raise ValueError(
            f"{text.strip()!r} is not a cut: give a margin and a background, such as 0.1:0.5"
        ) from None
    return Cut(*numbers)


def cut_out(image: Pixels, crop: MaskCrop, cut: Cut, fill: Sequence[int]) -> Pixels:
    """A square around the middle of one instance, with the photograph's own pixels.

    Args:
        image: (H, W, 3) uint8 RGB.
        crop: the instance's mask, not empty, cut to its own box, which lies on the image.
        cut: how.
        fill: RGB colour of what lies beyond the photograph, and of a background that is left out:
            the encoder's mean, which is 0 once normalised.

    Returns:
        (s, s, 3) uint8 RGB; s is the longer side of the mask's box with both margins.
    """
    x1, y1, x2, y2 = crop.box
    longer = max(x2 - x1, y2 - y1)
    side = longer + 2 * round(cut.margin * longer)
    left, top = (x1 + x2 - side) // 2, (y1 + y2 - side) // 2
    inside = _inside((left, top, left + side, top + side), image.shape)
    picture = np.full((side, side, 3), np.array(fill, np.uint8), np.uint8)
    shown = picture[inside[1] - top : inside[3] - top, inside[0] - left : inside[2] - left]
    seen = image[inside[1] : inside[3], inside[0] : inside[2]]
    if cut.background == 1:
        shown[:] = seen
        return picture
    if cut.background:
        shown[:] = cv2.addWeighted(seen, cut.background, shown, 1 - cut.background, 0)
    mask = crop.window(inside)
    shown[mask] = seen[mask]
    return picture


def fitted(
    picture: Pixels, side: int, resample: Image.Resampling = Image.Resampling.BICUBIC
) -> Pixels:
    """A square picture at another size, (side, side, 3) uint8, as open_clip's transforms do it."""
    if len(picture) == side:
        return picture
    return np.asarray(Image.fromarray(picture).resize((side, side), resample))


def _inside(box: tuple[int, int, int, int], shape: Sequence[int]) -> tuple[int, int, int, int]:
    """What of a box lies on an image."""
    x1, y1, x2, y2 = box
    return max(x1, 0), max(y1, 0), min(x2, shape[1]), min(y2, shape[0])
