"""Every kind of file that a dataset may hold, good and bad."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from ovsam_plugin.images.reading import ImageError, photo_size, read_image, read_picture


def scene(height: int = 40, width: int = 60) -> np.ndarray:
    """A picture without any symmetry: red to the right, green downwards, one blue corner."""
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    pixels[..., 0] = np.linspace(0, 255, width).astype(np.uint8)
    pixels[..., 1] = np.linspace(0, 255, height).astype(np.uint8)[:, None]
    pixels[: height // 4, : width // 4, 2] = 255
    return pixels


def save(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)
    return path


def test_rgb_pixels_come_out_as_they_went_in(tmp_path: Path) -> None:
    path = save(Image.fromarray(scene()), tmp_path / "a.png")
    assert np.array_equal(read_image(path), scene())


def test_a_palette_image_shows_its_colours(tmp_path: Path) -> None:
    image = Image.new("P", (3, 2))
    image.putpalette([255, 0, 0, 0, 0, 255] + [0] * 762)
    image.putdata([0, 1, 0, 1, 1, 1])
    pixels = read_image(save(image, tmp_path / "a.png"))
    assert pixels[0].tolist() == [[255, 0, 0], [0, 0, 255], [255, 0, 0]]


def test_transparency_lies_on_white(tmp_path: Path) -> None:
    rgba = np.zeros((1, 3, 4), dtype=np.uint8)
    rgba[0, :, :3] = (200, 0, 0)
    rgba[0, :, 3] = (255, 0, 128)
    pixels = read_image(save(Image.fromarray(rgba), tmp_path / "a.png"))
    assert pixels[0, 0].tolist() == [200, 0, 0]
    assert pixels[0, 1].tolist() == [255, 255, 255]
    assert np.abs(pixels[0, 2].astype(int) - [227, 127, 127]).max() <= 1


def test_a_transparent_palette_entry_lies_on_white(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60] + [0] * 762)
    image.putdata([0, 1])
    pixels = read_image(save(image, tmp_path / "a.png", transparency=0))
    assert pixels[0].tolist() == [[255, 255, 255], [40, 50, 60]]


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("L", ".png"), ("LA", ".png"), ("1", ".png"), ("CMYK", ".tif"), ("YCbCr", ".tif")],
)
def test_every_eight_bit_mode_becomes_rgb(tmp_path: Path, mode: str, suffix: str) -> None:
    grey = Image.fromarray(scene()).convert("L")
    source = grey if mode in ("LA", "1") else Image.merge("RGB", [grey] * 3)
    image = source.convert(mode)
    pixels = read_image(save(image, tmp_path / f"a{suffix}"))
    assert pixels.shape == (40, 60, 3)
    assert pixels.dtype == np.uint8
    expected = np.asarray(grey.convert(mode).convert("L") if mode == "1" else grey).astype(int)
    assert np.abs(pixels.astype(int) - expected[..., None]).max() <= 4


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_keep_their_upper_byte(tmp_path: Path, suffix: str) -> None:
    values = np.array([[0, 255, 256, 32768, 65535]], dtype=np.uint16)
    pixels = read_image(save(Image.fromarray(values), tmp_path / f"a{suffix}"))
    assert pixels[0, :, 0].tolist() == [0, 0, 1, 128, 255]
    assert np.array_equal(pixels[..., 0], pixels[..., 2])


def test_floats_are_stretched_over_their_own_range(tmp_path: Path) -> None:
    values = np.array([[-1.0, 0.0, 1.0, np.nan]], dtype=np.float32)
    pixels = read_image(save(Image.fromarray(values), tmp_path / "a.tif"))
    assert pixels[0, :, 0].tolist() == [0, 128, 255, 128]


UPRIGHT = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: np.rot90(p, 2).transpose(1, 0, 2),
    8: lambda p: np.rot90(p, 1),
}


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("orientation", sorted(UPRIGHT))
def test_exif_orientation_is_applied_once(tmp_path: Path, orientation: int, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(Image.fromarray(scene()), tmp_path / f"a{suffix}", exif=exif)
    expected = UPRIGHT[orientation](scene())
    picture = read_picture(path)
    assert np.array_equal(picture.pixels, expected)
    assert picture.size == expected.shape[:2]


def test_a_turned_and_reduced_jpeg_keeps_its_original_size(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(Image.fromarray(scene(400, 640)), tmp_path / "a.jpg", exif=exif)
    picture = read_picture(path, longest_side=80)
    assert picture.size == (640, 400)
    assert picture.pixels.shape[:2] == (160, 100)


def test_a_reduced_jpeg_shows_the_same_picture(tmp_path: Path) -> None:
    path = save(Image.fromarray(scene(400, 640)), tmp_path / "a.jpg", quality=95)
    small = Image.fromarray(read_picture(path, longest_side=80).pixels).resize((80, 50), 4)
    full = Image.fromarray(read_image(path)).resize((80, 50), 4)
    assert np.abs(np.asarray(small).astype(int) - np.asarray(full)).mean() < 2


def test_a_picture_not_much_larger_than_asked_is_decoded_whole(tmp_path: Path) -> None:
    path = save(Image.fromarray(scene(400, 640)), tmp_path / "a.jpg")
    assert read_picture(path, longest_side=161).pixels.shape[:2] == (400, 640)


def test_the_first_frame_of_an_animation_is_read(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 3), colour) for colour in ("red", "blue")]
    path = tmp_path / "a.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert read_image(path)[0, 0].tolist() == [255, 0, 0]


def test_one_pixel_is_an_image(tmp_path: Path) -> None:
    path = save(Image.new("RGB", (1, 1), (1, 2, 3)), tmp_path / "a.png")
    assert read_image(path).tolist() == [[[1, 2, 3]]]


@pytest.mark.filterwarnings("error")
def test_a_hundred_million_pixels_are_read(tmp_path: Path) -> None:
    path = save(Image.new("L", (12_000, 9_000), 128), tmp_path / "a.jpg")
    picture = read_picture(path, longest_side=1024)
    assert picture.size == (9_000, 12_000)
    assert max(picture.pixels.shape) == 3000
    assert abs(int(picture.pixels[1000, 1000, 0]) - 128) <= 1


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"there is no file .*gone\.jpg"):
        read_image(tmp_path / "gone.jpg")


def test_a_folder_is_not_an_image(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="is a folder"):
        read_image(tmp_path)


def test_an_empty_file_is_called_empty(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    with pytest.raises(ImageError, match="is empty"):
        read_image(tmp_path / "a.jpg")


def test_text_is_not_an_image(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("no picture at all")
    with pytest.raises(ImageError, match="is not an image"):
        read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".gif", ".webp"])
def test_a_file_cut_short_is_refused(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    path = save(Image.fromarray(noise), tmp_path / f"a{suffix}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ImageError, match=r"damaged or cut short|not an image"):
        read_image(path)


def test_a_phones_heic_is_read(tmp_path: Path) -> None:
    import pillow_heif

    path = tmp_path / "phone.heic"
    pillow_heif.from_pillow(Image.fromarray(scene(64, 96))).save(path, quality=100)
    pixels = read_image(path)
    assert pixels.shape == (64, 96, 3)
    assert np.abs(pixels.astype(int) - scene(64, 96)).mean() < 8
    renamed = path.rename(tmp_path / "phone.jpg")
    assert np.array_equal(read_image(renamed), pixels)


def test_what_reads_heic_is_named_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    path = tmp_path / "phone.heic"
    path.write_bytes(b"\x00\x00\x00\x18ftypheic" + bytes(100))
    with pytest.raises(ImageError, match=r"HEIC, which needs pillow-heif: pip install .*\[heic\]"):
        read_image(path)


def save_turned(pixels: np.ndarray, path: Path, orientation: int, kind: str | None = None) -> Path:
    """A file whose pixels are `pixels` and whose EXIF says how to turn them."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    image, more = Image.fromarray(pixels), {}
    if kind == "MPO":  # phones' photographs with a second picture
        more = {"save_all": True, "append_images": [image.resize((6, 4))]}
        return save(image, path, format=kind, exif=exif.tobytes(), **more)
    return save(image, path, exif=exif)


KINDS = [
    (".jpg", None),
    (".jpg", "MPO"),
    (".png", None),
    (".webp", None),
    (".avif", None),
    (".tif", None),
]


@pytest.mark.parametrize(("suffix", "kind"), KINDS)
@pytest.mark.parametrize("orientation", sorted(UPRIGHT))
def test_the_size_is_that_of_the_pixels_however_the_file_is_turned(
    tmp_path: Path, orientation: int, suffix: str, kind: str | None
) -> None:
    path = save_turned(scene(), tmp_path / f"a{suffix}", orientation, kind)
    shape = UPRIGHT[orientation](scene()).shape[:2]
    assert photo_size(path) == read_image(path).shape[:2] == shape
    assert read_picture(path).size == shape


def with_late_exif(path: Path) -> Path:
    """A PNG with its EXIF after its pixels, as exiftool writes it."""
    data = path.read_bytes()
    start = data.index(b"eXIf") - 4
    length = int.from_bytes(data[start : start + 4], "big") + 12
    chunk, rest = data[start : start + length], data[:start] + data[start + length :]
    end = rest.rindex(b"IEND") - 4
    path.write_bytes(rest[:end] + chunk + rest[end:])
    return path


def test_the_size_of_a_png_that_tells_its_turn_after_its_pixels(tmp_path: Path) -> None:
    path = with_late_exif(save_turned(scene(), tmp_path / "a.png", 8))
    assert photo_size(path) == read_image(path).shape[:2] == (60, 40)


def test_the_size_of_a_photograph_that_xmp_alone_says_is_turned(tmp_path: Path) -> None:
    note = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="6"/></x:xmpmeta>'
    path = save(Image.fromarray(scene()), tmp_path / "a.jpg", xmp=note)
    assert photo_size(path) == read_image(path).shape[:2] == (60, 40)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".bmp", ".gif"])
def test_the_size_is_read_from_the_header_alone(tmp_path: Path, suffix: str) -> None:
    path = save(Image.fromarray(scene(400, 640)), tmp_path / f"a{suffix}")
    with pytest.MonkeyPatch.context() as patch:
        for kind in (ImageFile.ImageFile, PngImageFile, TiffImageFile, WebPImageFile):
            patch.setattr(kind, "load", lambda self: pytest.fail("pixels were decoded"))
        assert photo_size(path) == (400, 640)


def test_the_size_of_what_is_no_image_is_refused_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"there is no file .*gone\.jpg"):
        photo_size(tmp_path / "gone.jpg")
    (tmp_path / "a.jpg").write_text("no picture at all")
    with pytest.raises(ImageError, match="is not an image"):
        photo_size(tmp_path / "a.jpg")


@pytest.mark.parametrize("mode", ["L", "RGB", "I;16"])
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_tiff_that_lies_on_its_side_is_turned_whatever_its_mode(
    tmp_path: Path, mode: str, orientation: int
) -> None:
    """Pillow, given the file's name, maps greyscale ones with their sides exchanged."""
    upright = np.random.default_rng(0).integers(0, 256, (24, 32), dtype=np.uint8)
    stored = upright.astype(np.uint16) << 8 if mode == "I;16" else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "scan.tif"
    picture = Image.fromarray(stored)
    (picture if mode == "I;16" else picture.convert(mode)).save(path, exif=exif.tobytes())
    ways = {5: upright.T, 6: np.rot90(upright, -1), 7: np.rot90(upright, 2).T, 8: np.rot90(upright)}
    np.testing.assert_array_equal(read_image(path)[..., 0], ways[orientation])
    assert photo_size(path) == (32, 24)


def test_a_photograph_that_finds_no_memory_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(Image.fromarray(scene()), tmp_path / "a.png")

    def full(image: Image.Image) -> None:
        raise MemoryError

    monkeypatch.setattr(PngImageFile, "load", full)
    with pytest.raises(ImageError, match=r"a\.png does not fit into the memory.*fewer workers"):
        read_image(path)
