"""Pictures of instances: the surroundings of one with its mask outlined, a group in a row."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import cv2
import fiftyone as fo
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from ovsam_plugin.curation.review_queue import load_instance
from ovsam_plugin.dataset.label_masks import crop_of, pixel_box
from ovsam_plugin.images.mask_crop import IntBox, MaskCrop
from ovsam_plugin.images.reading import ImageError, read_image

SIZE = (480, 360)
"""(width, height) in pixels of every large picture, so that buttons below stay where they are."""

SMALL = (120, 90)
"""The same of one among many."""

CROP = (160, 120)
"""(width, height) in pixels of each crop of a group."""

_CONTEXT = 0.35
"""How much of its own size an instance is shown with on each side."""
_OUTLINE = (255, 109, 4)
_HALO = (20, 20, 20)
_SHADE = 0.62
_PAPER, _INK = (30, 32, 36), (200, 203, 210)
_QUALITY = 88
_GAP = 4


def instance_picture(
    filepath: str, label: fo.Detection, within: tuple[int, int] = SIZE
) -> Image.Image:
    """An instance cut out of its photograph, with the mask outlined and the rest darkened.

    Args:
        filepath: the photograph.
        label: with a relative box, and a mask or none; without one the box is outlined.
        within: (width, height) of the picture in pixels.

    Returns:
        An RGB image of that size. A photograph that cannot be read gives its reason in words.
    """
    try:
        photograph = read_image(filepath)
        mask = _mask_of(label, (photograph.shape[0], photograph.shape[1]))
    except (ImageError, ValueError) as error:
        return _words(str(error), within)
    x1, y1, x2, y2 = _window(mask, photograph.shape[:2], within)
    width, height = x2 - x1, y2 - y1
    scale = min(within[0] / width, within[1] / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    smooth = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    pixels = cv2.resize(photograph[y1:y2, x1:x2], size, interpolation=smooth)
    shape = mask.window((x1, y1, x2, y2)).astype(np.float32)
    inside = cv2.resize(shape, size, interpolation=smooth) > 0.5
    pixels[~inside] = (pixels[~inside] * _SHADE).astype(np.uint8)
    # A dark line around the bright one is seen on any background.
    pixels[_grown(inside, 4) & ~inside] = _HALO
    pixels[_grown(inside, 2) & ~inside] = _OUTLINE
    picture = Image.new("RGB", within, _PAPER)
    corner = ((within[0] - size[0]) // 2, (within[1] - size[1]) // 2)
    picture.paste(Image.fromarray(pixels), corner)
    return picture


def group_picture(
    dataset: fo.Dataset, field: str, examples: Sequence[tuple[str, str]]
) -> Image.Image:
    """Crops of instances side by side, each outlined.

    Args:
        dataset: the labels' dataset.
        field: a field of Detections.
        examples: (sample id, label id) of each; those that are gone are left out.

    Returns:
        An RGB image, CROP high and as wide as there are crops.
    """
    found = (load_instance(dataset, field, *pair) for pair in examples)
    shown = [instance_picture(one.filepath, one.label) for one in found if one is not None]
    width = max(len(shown) * (CROP[0] + _GAP) - _GAP, 1)
    picture = Image.new("RGB", (width, CROP[1]), _PAPER)
    for place, crop in enumerate(shown):
        picture.paste(crop.resize(CROP, Image.Resampling.LANCZOS), (place * (CROP[0] + _GAP), 0))
    return picture


def data_address(picture: Image.Image) -> str:
    """A picture as a `data:` address, which a browser shows without asking a server."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _mask_of(label: fo.Detection, size: tuple[int, int]) -> MaskCrop:
    """On a photograph of (height, width); the box where there is no mask."""
    crop = crop_of(label, size)
    if crop is not None and crop.area:
        return crop
    return MaskCrop.over_box(np.ones((1, 1), dtype=bool), pixel_box(label.bounding_box, size), size)


def _grown(mask: npt.NDArray[np.bool_], pixels: int) -> npt.NDArray[np.bool_]:
    side = 2 * pixels + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), disc), dtype=bool)


def _window(mask: MaskCrop, size: tuple[int, ...], within: tuple[int, int]) -> IntBox:
    """Around a mask with some context, of the picture's proportions where the photograph allows."""
    height, width = size
    if not mask.area:
        return 0, 0, width, height
    x1, y1, x2, y2 = mask.box
    wide, high = (x2 - x1) * (1 + 2 * _CONTEXT), (y2 - y1) * (1 + 2 * _CONTEXT)
    ratio = within[0] / within[1]
    wide, high = max(wide, high * ratio), max(high, wide / ratio)
    left, right = _span((x1 + x2) / 2, wide, width)
    top, bottom = _span((y1 + y2) / 2, high, height)
    return left, top, right, bottom


def _span(middle: float, extent: float, total: int) -> tuple[int, int]:
    """Whole pixels of this extent, moved inside 0..total, cut where it is larger."""
    length = min(max(1, round(extent)), total)
    start = min(max(0, round(middle - extent / 2)), total - length)
    return start, start + length


def _words(text: str, within: tuple[int, int]) -> Image.Image:
    picture = Image.new("RGB", within, _PAPER)
    lines = [text[i : i + 60] for i in range(0, min(len(text), 360), 60)]
    ImageDraw.Draw(picture).multiline_text((20, 20), "\n".join(lines), _INK)
    return picture
