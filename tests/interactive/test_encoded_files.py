"""Encodings that are written to a folder and read again."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from ovsam_plugin.interactive.encoded_files import EncodedFiles
from ovsam_plugin.interactive.shared_network import (
    Photograph,
    SharedNetwork,
    load_shared_network,
    vocabulary_named,
)
from ovsam_plugin.prediction.predictor import Encoding
from ovsam_plugin.prediction.prompts import Box, Points, Prompt

PROMPTS: tuple[Prompt, ...] = (
    Points(((230, 120),), (1,)),
    Points(((230, 120), (430, 150)), (1, 0)),
    Box((60, 10, 440, 290)),
)


@pytest.fixture(scope="module")
def cat(photographs: dict[str, Path]) -> Photograph:
    return Photograph.of(photographs["chelsea.png"])


@pytest.fixture(scope="module")
def encoding(cat: Photograph) -> Encoding:
    return load_shared_network(device="cpu").encode(cat)


@pytest.fixture
def files(tmp_path: Path) -> EncodedFiles:
    return EncodedFiles(
        tmp_path / "encodings", load_shared_network(device="cpu").predictor.weights_hash
    )


def engine_with(files: EncodedFiles) -> SharedNetwork:
    return SharedNetwork(load_shared_network(device="cpu").predictor, files=files)


@pytest.mark.parametrize("prompt", PROMPTS, ids=["point", "points", "box"])
def test_what_is_read_answers_like_what_was_written(
    cat: Photograph, encoding: Encoding, files: EncodedFiles, prompt: Prompt
) -> None:
    files.write(cat.key, encoding)
    names = vocabulary_named("cat, cup, person, spoon")
    fresh = load_shared_network(device="cpu").answer(cat, prompt, names)
    read = engine_with(files).answer(cat, prompt, names)
    a, b = fresh.instances.full_mask(0), read.instances.full_mask(0)
    assert (a & b).sum() / (a | b).sum() > 0.99
    assert read.names.names == fresh.names.names
    np.testing.assert_allclose(read.names.top_scores, fresh.names.top_scores, atol=2e-3)


def test_the_encoder_is_not_asked_where_a_file_lies(
    cat: Photograph, encoding: Encoding, files: EncodedFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.write(cat.key, encoding)
    network = engine_with(files)

    def encode(*_: object) -> None:
        raise AssertionError("encoded again")

    monkeypatch.setattr(network.predictor, "encode", encode)
    assert network.size(cat) == (300, 451)
    everything = network.everything(cat, vocabulary_named("cat, cup"))
    assert "cat" in everything.names.names


def test_all_parts_come_back_as_halves_hold_them(
    cat: Photograph, encoding: Encoding, files: EncodedFiles
) -> None:
    files.write(cat.key, encoding)
    read = files.read(cat.key)
    assert read is not None
    assert read.frame.original_size == encoding.frame.original_size
    np.testing.assert_array_equal(read.frame.pixels, encoding.frame.pixels)
    assert read.features.regions is not None
    assert encoding.features.regions is not None
    pairs = [
        (read.features.last, encoding.features.last),
        *zip(read.features.pyramid, encoding.features.pyramid),
        *zip(read.features.regions.details, encoding.features.regions.details),
    ]
    for got, wanted in pairs:
        assert got.dtype == torch.float32
        torch.testing.assert_close(got, wanted.float(), rtol=1e-3, atol=1e-6)
    assert read.all_proposals is not None
    assert encoding.all_proposals is not None
    torch.testing.assert_close(read.all_proposals.boxes, encoding.all_proposals.boxes)


def test_what_was_made_of_something_else_is_not_read(
    cat: Photograph, encoding: Encoding, files: EncodedFiles, tmp_path: Path
) -> None:
    path = files.write(cat.key, encoding)
    assert files.read(("other.png", 1, 2)) is None
    others = EncodedFiles(tmp_path / "encodings", "0" * 64)
    assert others.read(cat.key) is None
    # Another network's file under this one's name.
    path.rename(others.path(cat.key))
    assert others.read(cat.key) is None


@pytest.mark.parametrize("place", [100, 100_000, -1_000])
def test_a_damaged_file_counts_as_none(
    cat: Photograph, encoding: Encoding, files: EncodedFiles, place: int
) -> None:
    path = files.write(cat.key, encoding)
    content = bytearray(path.read_bytes())
    content[place] ^= 0x40
    path.write_bytes(content)
    assert files.read(cat.key) is None
    path.write_bytes(content[: len(content) // 2])
    assert files.read(cat.key) is None
    assert engine_with(files).size(cat) == (300, 451)


def test_what_was_used_longest_ago_makes_room(
    cat: Photograph, encoding: Encoding, files: EncodedFiles
) -> None:
    paths = [files.write((name, 0, 0), encoding) for name in "abc"]
    for age, path in zip((30, 20, 10), paths):
        os.utime(path, (path.stat().st_atime, path.stat().st_mtime - age))
    size = paths[0].stat().st_size
    assert files.read(("a", 0, 0)) is not None
    assert files.make_room(2 * size)
    assert [path.exists() for path in paths] == [True, False, True]
    assert not files.make_room(size, kept=paths)
    assert [path.exists() for path in paths] == [True, False, True]
    assert files.bytes == 2 * size


def test_numbers_that_halves_cannot_hold_are_refused(
    encoding: Encoding, files: EncodedFiles
) -> None:
    from dataclasses import replace

    large = replace(encoding.features, last=encoding.features.last * 1e6)
    with pytest.raises(ValueError, match="within 65504"):
        files.write("k", replace(encoding, features=large))
    assert files.bytes == 0


def test_arrays_are_never_looked_for_on_disk(
    encoding: Encoding, files: EncodedFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object) -> None:
        raise AssertionError("looked for")

    monkeypatch.setattr(files, "read", read)
    picture = Photograph.of(np.zeros((20, 30, 3), np.uint8))
    assert engine_with(files).size(picture) == (20, 30)


def test_where_nothing_can_be_kept_the_error_says_what_to_set(
    cat: Photograph, encoding: Encoding, tmp_path: Path
) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(OSError, match="OVSAM_CACHE_DIR"):
        EncodedFiles(tmp_path / "taken", "weights").write(cat.key, encoding)
