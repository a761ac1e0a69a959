"""A picture of labelled images side by side: masks, names and scores drawn on them."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from ovsam_plugin import counting
from ovsam_plugin.files import draft_of
from ovsam_plugin.images.mask_crop import MaskCrop
from ovsam_plugin.images.reading import ImageError, read_image

if TYPE_CHECKING:
    import fiftyone as fo

Colour: TypeAlias = tuple[int, int, int]

_PAPER: Colour = (24, 26, 31)
_INK: Colour = (236, 239, 244)
_FAINT: Colour = (150, 157, 170)
SHOWN = 20
"""Instances that are drawn on a photograph; more hide each other."""
_MOST = 60  # photographs of a sheet

_GOLDEN = 0.618034  # steps of the golden ratio around the colour wheel stay far apart


@dataclass(frozen=True, eq=False)
class TileInstance:
    """One instance on a tile.

    Attributes:
        crop: its mask on the image.
        name: what is written at it; empty writes nothing.
    """

    crop: MaskCrop
    name: str


@dataclass(frozen=True, eq=False)
class SheetTile:
    """One image of the sheet.

    Attributes:
        title: written above it.
        image: (H, W, 3) uint8 RGB, or None where the image could not be read.
        instances: in the order in which they matter: where names would overlap, earlier ones win.
        note: written beside the title, or on the tile where there is no image.
    """

    title: str
    image: npt.NDArray[np.uint8] | None
    instances: tuple[TileInstance, ...] = ()
    note: str = ""


def draw_sheet(
    tiles: Iterable[SheetTile], *, tile_size: int = 640, columns: int | None = None
) -> Image.Image:
    """Draw tiles in rows.

    Args:
        tiles: at least one; each is drawn as it comes, so that only one image is held.
        tile_size: width of a tile, and greatest height of its image, in pixels.
        columns: tiles a row; None takes three, or fewer where two rows are fuller.

    Raises:
        ValueError: there is no tile.
    """
    drawn, captions = [], []
    for tile in tiles:
        drawn.append(_draw_tile(tile, tile_size))
        captions.append((tile.title, tile.note if tile.image is not None else "failed"))
    if not drawn:
        raise ValueError("a contact sheet needs at least one image")
    columns = columns or min(3, math.ceil(math.sqrt(len(drawn))))
    gap, caption = tile_size // 32, tile_size // 14
    rows = [range(i, min(i + columns, len(drawn))) for i in range(0, len(drawn), columns)]
    heights = [caption + max(drawn[i].height for i in row) for row in rows]
    sheet = Image.new(
        "RGB",
        (columns * (tile_size + gap) + gap, sum(heights) + gap * (len(rows) + 1)),
        _PAPER,
    )
    pen = ImageDraw.Draw(sheet)
    title_font, note_font = _font(tile_size // 24, bold=True), _font(tile_size // 32)
    y = gap
    for row, height in zip(rows, heights, strict=True):
        for place, index in enumerate(row):
            x = gap + place * (tile_size + gap)
            baseline = y + caption - tile_size // 40
            title, note = captions[index]
            title = title if len(title) <= 36 else f"{title[:20]}…{title[-15:]}"
            pen.text((x, baseline), title, _INK, title_font, anchor="ls")
            used = pen.textlength(f"{title}  ", title_font)
            pen.text((x + used, baseline), note, _FAINT, note_font, anchor="ls")
            sheet.paste(drawn[index], (x, y + caption))
        y += height + gap
    return sheet


def counted(number: int, drawn: int) -> str:
    """What is written beside a photograph's title."""
    note = counting.counted(number, "instance")
    return note if number <= drawn else f"the {drawn} most certain of {note}"


def tiles_of(samples: fo.SampleCollection, label_field: str) -> Iterator[SheetTile]:
    """Samples as tiles, those most surely things first, failures with their reason."""
    for sample in samples:
        labels = sample[label_field].detections if sample[label_field] is not None else []
        error = f"{label_field}_error"
        reason = sample[error] if sample.has_field(error) else None
        try:
            image = read_image(sample.filepath)
        except ImageError as failure:
            yield SheetTile(Path(sample.filepath).name, None, note=str(reason or failure))
            continue
        found = list(_placed(labels, (image.shape[0], image.shape[1])))
        found.sort(key=lambda pair: -_sureness(pair[0]))
        note = counted(len(found), SHOWN)
        instances = tuple(
            TileInstance(crop, caption(label.label, label.confidence))
            for label, crop in found[:SHOWN]
        )
        yield SheetTile(Path(sample.filepath).name, image, instances, note)


def _sureness(label: fo.Detection) -> float:
    """How surely it is a thing; of labels that do not say, how sure the name is."""
    value = label.get_attribute_value("objectness", None)
    return float(label.confidence or 0.0) if value is None else float(value)


def _placed(
    labels: Iterable[fo.Detection], size: tuple[int, int]
) -> Iterator[tuple[fo.Detection, MaskCrop]]:
    """Those labels that have a mask on an image of (height, width), with it."""
    from ovsam_plugin.dataset.label_masks import crop_of

    for label in labels:
        try:
            crop = crop_of(label, size)
        except ValueError:  # there is nothing to draw
            continue
        if crop is not None and crop.area:
            yield label, crop


def save_sheet(samples: fo.SampleCollection, label_field: str, path: str | Path) -> Path:
    """Draws the first sixty samples of a collection into a PNG.

    Returns:
        The path written.

    Raises:
        ValueError: the samples are groups; the message says which view to give instead.
    """
    from ovsam_plugin.dataset.targets import check_flat

    check_flat(samples)
    path = Path(path).expanduser()
    sheet = draw_sheet(tiles_of(samples[:_MOST], label_field))
    with draft_of(path) as draft:
        sheet.save(draft, format="PNG")
    return path


def caption(name: str | None, confidence: float | None) -> str:
    """What is written at an instance."""
    if name is None:
        return ""
    short = name if len(name) <= 28 else f"{name[:27]}…"
    return short if confidence is None else f"{short} {confidence:.2f}"


def _draw_tile(tile: SheetTile, tile_size: int) -> Image.Image:
    if tile.image is None:
        blank = Image.new("RGB", (tile_size, tile_size // 2), (44, 47, 56))
        words = _wrap(tile.note, 48)
        ImageDraw.Draw(blank).multiline_text(
            (tile_size // 2, tile_size // 4),
            words,
            _FAINT,
            _font(tile_size // 36),
            anchor="mm",
            align="center",
        )
        return blank
    height, width = tile.image.shape[:2]
    scale = tile_size / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    picture = np.asarray(
        Image.fromarray(tile.image).resize(size, Image.Resampling.LANCZOS), dtype=np.float32
    )
    # Large masks first, so that small ones lie on top and stay whole.
    masks = [_scaled(i, scale, size) for i in tile.instances]
    order = sorted(range(len(masks)), key=lambda i: -int(masks[i].sum()))
    picture = picture.copy()
    line = max(1, tile_size // 320)
    for i in order:
        colour = np.asarray(_colour(i), dtype=np.float32)
        mask = masks[i]
        edge = mask & ~ndimage.binary_erosion(mask, iterations=line, border_value=1)
        halo = ndimage.binary_dilation(mask, iterations=line) & ~mask
        picture[mask] = picture[mask] * 0.58 + colour * 0.42
        picture[halo] *= 0.45
        picture[edge] = colour
    result = Image.new("RGB", (tile_size, size[1]), _PAPER)
    result.paste(Image.fromarray(picture.astype(np.uint8)), ((tile_size - size[0]) // 2, 0))
    _write_names(result, tile.instances, masks, (tile_size - size[0]) // 2, tile_size)
    return result


def _scaled(instance: TileInstance, scale: float, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """The instance's mask on the scaled image, (size[1], size[0]) bool."""
    canvas = np.zeros((size[1], size[0]), dtype=bool)
    mask, corner = instance.crop.mask, (instance.crop.x, instance.crop.y)
    x1, y1 = (min(int(c * scale), s - 1) for c, s in zip(corner, size, strict=True))
    width = min(max(1, round(mask.shape[1] * scale)), size[0] - x1)
    height = min(max(1, round(mask.shape[0] * scale)), size[1] - y1)
    shade = Image.fromarray(mask.astype(np.uint8) * 255)
    small = np.asarray(shade.resize((width, height), Image.Resampling.BILINEAR)) > 127
    canvas[y1 : y1 + height, x1 : x1 + width] = small
    return canvas


def _write_names(
    picture: Image.Image,
    instances: Sequence[TileInstance],
    masks: Sequence[npt.NDArray[np.bool_]],
    left: int,
    tile_size: int,
) -> None:
    """Names at the middle of their masks, each where it hides no name before it."""
    pen = ImageDraw.Draw(picture)
    font, pad = _font(tile_size // 34, bold=True), tile_size // 160
    taken: list[tuple[float, float, float, float]] = []
    for index, (instance, mask) in enumerate(zip(instances, masks, strict=True)):
        if not instance.name or not mask.any():
            continue
        x0, y0, x1, y1 = pen.textbbox((0, 0), instance.name, font, anchor="lt")
        width, height = x1 - x0 + 2 * pad, y1 - y0 + 2 * pad
        rows, columns = np.nonzero(mask)
        middle = left + float(np.median(columns)), float(np.median(rows))
        place = _free_place(middle, (width, height), picture.size, taken)
        if place is None:
            continue
        taken.append(place)
        colour = _colour(index)
        pen.rounded_rectangle(place, radius=pad * 1.5, fill=colour, outline=(0, 0, 0), width=1)
        dark = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 130
        pen.text(
            (place[0] + pad - x0, place[1] + pad - y0),
            instance.name,
            (0, 0, 0) if dark else (255, 255, 255),
            font,
            anchor="lt",
        )


def _free_place(
    middle: tuple[float, float],
    size: tuple[float, float],
    canvas: tuple[int, int],
    taken: Sequence[tuple[float, float, float, float]],
) -> tuple[float, float, float, float] | None:
    for step in (0, -1, 1, -2, 2, -3, 3):
        x = min(max(middle[0] - size[0] / 2, 0), max(canvas[0] - size[0] - 1, 0))
        y = middle[1] - size[1] / 2 + step * size[1] * 1.1
        y = min(max(y, 0), max(canvas[1] - size[1] - 1, 0))
        place = (x, y, x + size[0], y + size[1])
        if not any(
            place[0] < t[2] and t[0] < place[2] and place[1] < t[3] and t[1] < place[3]
            for t in taken
        ):
            return place
    return None


def _colour(index: int) -> Colour:
    hue = (0.58 + index * _GOLDEN) % 1.0
    value = (1.0, 0.85)[(index // 5) % 2]
    red, green, blue = colorsys.hsv_to_rgb(hue, (0.72, 0.95, 0.55)[index % 3], value)
    return round(red * 255), round(green * 255), round(blue * 255)


def _wrap(text: str, width: int) -> str:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()[: width * 2]
    return "\n".join(lines[:6])


def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """DejaVu Sans, which matplotlib brings and which knows most alphabets."""
    try:
        import matplotlib

        folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
        return ImageFont.truetype(folder / f"DejaVuSans{'-Bold' if bold else ''}.ttf", size)
    except (ImportError, OSError):
        return ImageFont.load_default(size)
