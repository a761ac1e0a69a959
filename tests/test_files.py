"""Files that many threads write at once, and writes that fail."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
from safetensors import SafetensorError

from ovsam_plugin.files import draft_of, whole_file, write_whole
from tests.checkpoints.test_record import THREADS, at_once

TIMES = 20


def test_a_file_that_many_threads_write_is_always_one_of_theirs_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "small.json"
    texts = [json.dumps([i] * 2000 * (i + 1)) for i in range(THREADS)]
    path.write_text(texts[0] + "\n")

    def write_and_read(number: int) -> None:
        for _ in range(TIMES):
            write_whole(path, texts[number])
            assert path.read_text().rstrip("\n") in texts

    at_once(write_and_read)
    assert [each.name for each in tmp_path.iterdir()] == ["small.json"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "small.json"
    write_whole(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "new \ud800")
    assert path.read_text() == "old\n"
    assert [each.name for each in tmp_path.iterdir()] == ["small.json"]


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), SafetensorError("No space left on device")],
)
def test_a_full_disk_is_told_with_the_file_that_it_has_no_room_for(
    tmp_path: Path, error: Exception
) -> None:
    path = tmp_path / "large"
    with pytest.raises(OSError, match="No space left on device") as told, draft_of(path):
        raise error
    assert str(path) in str(told.value)


def test_a_file_may_be_read_by_whom_other_new_files_may(tmp_path: Path) -> None:
    """Libraries that make a file of their own and move it make one that nobody else can read."""
    plain, path = tmp_path / "plain", tmp_path / "shared"
    plain.touch()
    with draft_of(path) as draft:
        draft.write_text("content")
        draft.chmod(0o600)
    assert path.stat().st_mode == plain.stat().st_mode


def test_what_comes_bit_by_bit_is_there_once_all_is(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "list.txt"
    with whole_file(path) as file:
        file.write("one")
        file.flush()
        assert not path.exists()
        file.write(" two")
    assert path.read_text() == "one two"


def test_what_stops_on_its_way_leaves_no_file(tmp_path: Path) -> None:
    def write() -> None:
        with whole_file(tmp_path / "list.txt") as file:
            file.write("one")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert not list(tmp_path.iterdir())


def test_a_draft_that_nobody_wrote_is_an_error_and_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), draft_of(path):
        pass
    assert path.read_text() == "old"
