"""A dataset's photographs encoded beforehand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image

from ovsam_plugin import encode_dataset, open_image
from ovsam_plugin.interactive.shared_network import encodings_directory, load_shared_network


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache folder of the test's own, with the text embeddings left where they are."""
    from ovsam_plugin.interactive import shared_network

    folder = tmp_path / "encodings"
    monkeypatch.setattr(shared_network, "encodings_directory", lambda: folder)
    monkeypatch.setattr("ovsam_plugin.curation.encoding.encodings_directory", lambda: folder)
    shared_network._shared.cache_clear()
    yield folder
    shared_network._shared.cache_clear()


def test_each_photograph_is_encoded_once_and_then_read(
    dataset: fo.Dataset, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = encode_dataset(dataset, device="cpu")
    assert (done.encoded, done.kept, done.failed, done.left) == (3, 0, {}, 0)
    assert done.bytes == sum(path.stat().st_size for path in cache.iterdir())
    load_shared_network(device="cpu").encodings.clear()

    def encode(*_: object) -> None:
        raise AssertionError("encoded again")

    monkeypatch.setattr(load_shared_network(device="cpu").predictor, "encode", encode)
    again = encode_dataset(dataset, device="cpu")
    assert (again.encoded, again.kept) == (0, 3)
    session = open_image(dataset.first().filepath, vocabulary="cat, cup", device="cpu")
    assert session.click(230, 120).label == "cat"


def test_a_photograph_that_changed_is_encoded_anew(dataset: fo.Dataset) -> None:
    encode_dataset(dataset.limit(1), device="cpu")
    path = dataset.first().filepath
    Image.open(path).crop((0, 0, 200, 100)).save(path)
    done = encode_dataset(dataset.limit(1), device="cpu")
    assert (done.encoded, done.kept) == (1, 0)
    assert open_image(path, device="cpu").size == (100, 200)


def test_what_cannot_be_read_is_told_and_the_others_are_encoded(dataset: fo.Dataset) -> None:
    bad = dataset.skip(1).first().filepath
    Path(bad).write_bytes(b"damaged")
    done = encode_dataset(dataset, device="cpu")
    assert done.encoded == 2
    assert list(done.failed) == [bad]


def test_a_bound_of_disk_space_is_kept(dataset: fo.Dataset, cache: Path) -> None:
    old = encode_dataset(dataset.limit(1), device="cpu").bytes
    # Room for two of this size: the first one of another dataset goes, as it was used before.
    done = encode_dataset(dataset.skip(1), device="cpu", most_bytes=int(old * 1.6))
    assert (done.encoded, done.left) == (1, 1)
    assert done.bytes <= old * 1.6
    with pytest.raises(ValueError, match="must be positive"):
        encode_dataset(dataset, most_bytes=0)


def test_turned_photographs_keep_their_size(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "turned.jpg"
    Image.fromarray(np.zeros((30, 50, 3), np.uint8)).save(path, exif=exif)
    made = fo.Dataset()
    made.add_images([str(path)])
    encode_dataset(made, device="cpu")
    load_shared_network(device="cpu").encodings.clear()
    assert open_image(path, device="cpu").size == (50, 30)
    made.delete()


def test_the_folder_lies_in_the_cache_of_this_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OVSAM_CACHE_DIR", "/somewhere")
    assert encodings_directory() == Path("/somewhere/encodings")
