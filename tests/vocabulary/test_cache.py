"""Text embeddings on disk: kept, shared, mended."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ovsam_plugin.vocabulary.cache import EmbeddingCache, cache_directory


def _rows(*values: float) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.array([[value, 1.0] for value in values], np.float32)


@pytest.fixture
def cache(tmp_path: Path) -> EmbeddingCache:
    return EmbeddingCache(tmp_path, "tower", ["a {}"])


def test_what_was_added_is_read_by_another(cache: EmbeddingCache, tmp_path: Path) -> None:
    cache.add(["cat", "猫"], _rows(1, 2))
    cache.add(["cat", "dog"], _rows(9, 3))
    names, vectors = EmbeddingCache(tmp_path, "tower", ("a {}",)).read()
    assert names == ["cat", "猫", "dog"]
    np.testing.assert_array_equal(vectors, _rows(1, 2, 3))


def test_an_empty_cache_holds_nothing_and_makes_no_file(cache: EmbeddingCache) -> None:
    names, vectors = cache.read()
    assert (names, len(vectors)) == ([], 0)
    assert not cache.path.exists()


def test_another_tower_or_other_templates_have_a_file_of_their_own(tmp_path: Path) -> None:
    pairs = [
        ("tower", ["a {}"]),
        ("other", ["a {}"]),
        ("tower", ["the {}"]),
        ("tower", ["a {}"] * 2),
    ]
    assert len({EmbeddingCache(tmp_path, *pair).path for pair in pairs}) == 4


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "flipped"])
def test_a_damaged_file_is_made_again(cache: EmbeddingCache, damage: str) -> None:
    cache.add(["cat", "dog"], _rows(1, 2))
    whole = cache.path.read_bytes()
    flipped = bytearray(whole)
    flipped[-2] ^= 0x40
    bad = {"empty": b"", "text": b"hello" * 9, "cut": whole[:-3], "flipped": bytes(flipped)}
    cache.path.write_bytes(bad[damage])
    with pytest.warns(UserWarning, match="is damaged .* and is made again"):
        assert cache.read()[0] == []
    cache.add(["cat"], _rows(5))
    names, vectors = cache.read()
    assert names == ["cat"]
    np.testing.assert_array_equal(vectors, _rows(5))


def test_vectors_of_another_length_replace_the_old(cache: EmbeddingCache) -> None:
    cache.add(["cat"], _rows(1))
    cache.add(["dog"], np.ones((1, 3), np.float32))
    assert cache.read()[0] == ["dog"]


def test_a_folder_that_cannot_be_written_costs_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = EmbeddingCache(tmp_path / "file", "tower", ["a {}"])
    with pytest.warns(UserWarning, match="cannot write the text cache .* set OVSAM_CACHE_DIR"):
        cache.add(["cat"], _rows(1))
    assert cache.read()[0] == []


def test_two_processes_that_write_at_once_lose_nothing(
    cache: EmbeddingCache, tmp_path: Path
) -> None:
    code = (
        "import sys, pathlib, numpy as np\n"
        "from ovsam_plugin.vocabulary.cache import EmbeddingCache\n"
        "cache = EmbeddingCache(pathlib.Path(sys.argv[1]), 'tower', ['a {}'])\n"
        "for i in range(25): cache.add([f'{sys.argv[2]}{i}'], np.full((1, 2), i, np.float32))\n"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", code, str(tmp_path), letter],
            cwd=Path(__file__).parents[2],
        )
        for letter in "ab"
    ]
    assert [process.wait(timeout=60) for process in running] == [0, 0]
    names, vectors = cache.read()
    assert set(names) == {f"{letter}{i}" for letter in "ab" for i in range(25)}
    assert all(vector[0] == int(name[1:]) for name, vector in zip(names, vectors, strict=True))
    assert [p.name for p in cache.path.parent.iterdir() if p.suffix == ".part"] == []


def test_the_folder_is_the_user_s_choice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OVSAM_CACHE_DIR", str(tmp_path / "mine"))
    assert cache_directory() == tmp_path / "mine"
    monkeypatch.delenv("OVSAM_CACHE_DIR")
    assert cache_directory().is_absolute()
    assert "ovsam" in str(cache_directory())
