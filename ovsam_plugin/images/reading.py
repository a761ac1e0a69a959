"""An image file in, RGB pixels out, whatever the file's own mode.

What comes out lies as the FiftyOne App shows it: browsers apply the EXIF orientation, so relative
boxes and masks are relative to the turned picture. FiftyOne's `metadata` does so for some formats
only, so the size of a photograph is asked here (`photo_size`) and nowhere else.
"""

from __future__ import annotations

import contextlib
import math
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

_DEEP_MODES = ("I", "F")
"""Pillow's modes of more than 8 bits a pixel; `I;16` and its byte orders start with the first."""

_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_SIXTEEN_BIT = 65535
_ORIENTATION_TAG = 0x0112
_ON_THEIR_SIDE = (5, 6, 7, 8)
_PNG_START = 8  # bytes of its signature
_PNG_NOTES = (b"eXIf", b"tEXt", b"zTXt", b"iTXt")
"""Chunks of a PNG that may say how it is turned."""


Pixels: TypeAlias = npt.NDArray[np.uint8]
"""(H, W, 3) uint8 RGB."""


class ImageError(ValueError):
    """A file that gives no picture; the message says which file and why."""


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels, which may be fewer than the file's own.

    Attributes:
        pixels: (H, W, 3) uint8 RGB, EXIF orientation applied.
        size: (height, width) in pixels of the original image, EXIF orientation applied. Prompts
            and masks are given in these.
    """

    pixels: npt.NDArray[np.uint8]
    size: tuple[int, int]


def read_image(path: str | os.PathLike[str]) -> npt.NDArray[np.uint8]:
    """The image at its own size.

    The first frame of an animation; transparency lies on white; CMYK, palette and greyscale become
    RGB; 16 bits a pixel keep the upper 8, as browsers do; 32-bit integers and floats, which have
    no agreed range, are stretched from their least to their greatest value.

    Args:
        path: an image file of any kind that Pillow reads.

    Returns:
        (H, W, 3) uint8 RGB, EXIF orientation applied.

    Raises:
        ImageError: the file is missing, empty, cut short, too large or not an image.
    """
    return read_picture(path).pixels


def read_picture(path: str | os.PathLike[str], longest_side: int | None = None) -> Picture:
    """The image, decoded no larger than it has to be.

    Args:
        path: an image file of any kind that Pillow reads.
        longest_side: the size in pixels that the image will be brought to anyway. A JPEG of four
            times that or more is decoded at 1/2, 1/4 or 1/8, and stays at least twice as large as
            asked, so that the resize that follows still averages. None decodes everything.

    Raises:
        ImageError: as for `read_image`.
    """
    with _opened(Path(path)) as image:
        return _decode(image, longest_side)


def photo_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """The (height, width) in pixels of what `read_image` gives, EXIF orientation applied.

    Only the file's header is read, and of a PNG the places of its chunks.

    Raises:
        ImageError: the file is missing, empty, or not an image.
    """
    with _opened(Path(path)) as image:
        width, height = image.size
        # Pillow gives a TIFF's sides turned before its pixels are.
        if not isinstance(image, TiffImageFile) and _lies_on_its_side(image):
            width, height = height, width
        return height, width


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """An image file, its pixels not read yet; what goes wrong inside is an `ImageError`."""
    try:
        with warnings.catch_warnings():
            # Pillow's limit for an error stays; its warning at half of that is our largest case.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            _learn_heic(path)
            # As a stream: a greyscale TIFF that Pillow maps by its name is read with its sides
            # exchanged where it lies on its side, and comes out neither turned nor whole.
            with path.open("rb") as file, Image.open(file) as image:
                yield image
    except FileNotFoundError:
        raise ImageError(f"there is no file {path}") from None
    except IsADirectoryError:
        raise ImageError(f"{path} is a folder, not an image") from None
    except PermissionError:
        raise ImageError(f"{path} cannot be read: permission denied") from None
    except UnidentifiedImageError:
        raise ImageError(_why_unidentified(path)) from None
    except Image.DecompressionBombError as error:
        raise ImageError(f"{path} is too large to decode: {error}") from None
    except MemoryError:
        raise ImageError(
            f"{path} does not fit into the memory that is free: load with fewer workers, or make "
            "the photograph smaller"
        ) from None
    except Exception as error:  # Pillow's decoders raise whatever the damage leads them to
        raise ImageError(f"{path} is damaged or cut short: {error}") from error


def _is_heic(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(12)
    return start[4:8] == b"ftyp" and start[8:12] in _HEIC_BRANDS


def _learn_heic(path: Path) -> None:
    """Lets Pillow read phones' HEIC, which pillow-heif teaches it, where a file is one."""
    if _is_heic(path):
        with contextlib.suppress(ImportError):
            from pillow_heif import register_heif_opener

            register_heif_opener()


def _why_unidentified(path: Path) -> str:
    if _is_heic(path) and find_spec("pillow_heif") is None:
        return f"{path} is HEIC, which needs pillow-heif: pip install 'fiftyone-ovsam[heic]'"
    if path.stat().st_size == 0:
        return f"{path} is empty (0 bytes)"
    return f"{path} is not an image, or of a kind that Pillow does not read"


def _lies_on_its_side(image: Image.Image) -> bool:
    if isinstance(image, PngImageFile) and image.fp and not _has_late_notes(image.fp):
        # Pillow would decode all pixels first, for notes that may come after them.
        exif = Image.Image.getexif(image)
    else:
        exif = image.getexif()
    return exif.get(_ORIENTATION_TAG) in _ON_THEIR_SIDE


def _has_late_notes(file: IO[bytes]) -> bool:
    """Whether a PNG says something after its pixels; the file is left where it was."""
    place, late = file.tell(), False
    file.seek(_PNG_START)
    pixels = False
    while len(head := file.read(8)) == 8:
        length, name = int.from_bytes(head[:4], "big"), head[4:]
        late = late or (pixels and name in _PNG_NOTES)
        pixels = pixels or name == b"IDAT"
        if late or name == b"IEND":
            break
        file.seek(length + 4, os.SEEK_CUR)
    file.seek(place)
    return late


def _decode(image: Image.Image, longest_side: int | None) -> Picture:
    width, height = image.size
    reduced = False
    if longest_side is not None and max(width, height) >= 4 * longest_side:
        at_least = 2 * longest_side / max(width, height)
        smallest = (math.ceil(width * at_least), math.ceil(height * at_least))
        reduced = image.draft(image.mode, smallest) is not None
    turned = reduced and _lies_on_its_side(image)
    image = ImageOps.exif_transpose(image)
    if not reduced:
        width, height = image.size
    elif turned:
        width, height = height, width
    return Picture(np.array(_to_rgb(image)), (height, width))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith(_DEEP_MODES):
        image = _to_eight_bits(image)
    if image.has_transparency_data:
        return _on_white(image)
    return image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    layers = image.convert("RGBA")
    white = Image.new("RGBA", layers.size, "white")
    return Image.alpha_composite(white, layers).convert("RGB")


def _to_eight_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    sixteen = image.mode.startswith("I;16") or (
        image.mode == "I" and values.min() >= 0 and values.max() <= _SIXTEEN_BIT
    )
    scale = _keep_upper_byte if sixteen else _stretch
    return Image.fromarray(scale(values))


def _keep_upper_byte(values: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    return (values.astype(np.uint16) >> 8).astype(np.uint8)


def _stretch(values: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    numbers = np.nan_to_num(values.astype(np.float64))
    low, high = float(numbers.min()), float(numbers.max())
    if high <= low:
        return np.zeros(numbers.shape, dtype=np.uint8)
    return np.rint((numbers - low) * (255 / (high - low))).astype(np.uint8)
