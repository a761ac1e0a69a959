"""Files that many threads write at once, and writes that fail."""

from __future__ import annotations

import errno
import json
import os
import threading
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


def test_what_is_no_file_is_written_to_and_stays_what_it_is(tmp_path: Path) -> None:
    """A user who may would otherwise put a file in the place of /dev/null."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()
    write_whole(pipe, "content")
    reader.join(10)
    assert read == ["content\n"]
    assert pipe.is_fifo()


def test_of_a_link_the_file_that_it_leads_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    file, link = tmp_path / "elsewhere" / "file", tmp_path / "link"
    for before in (None, "old"):
        if before is not None:
            file.write_text(before)
        link.unlink(missing_ok=True)
        link.symlink_to(file)
        write_whole(link, "new")
        assert link.is_symlink()
        assert file.read_text() == "new\n"


def test_an_error_of_the_disk_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "file"

    def fill() -> None:
        with draft_of(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space") as told:
        fill()
    assert told.value.filename == str(path)
    with pytest.raises(FileNotFoundError) as told, draft_of(path):
        pass
    assert (told.value.filename, told.value.filename2) == (str(path), None)


def test_where_nothing_can_be_written_the_error_names_the_file_and_not_the_draft(
    tmp_path: Path,
) -> None:
    (tmp_path / "taken").touch()
    path = tmp_path / "taken" / "file"
    with pytest.raises(OSError, match="taken") as told:
        write_whole(path, "content")
    assert ".part" not in str(told.value)


def test_what_safetensors_says_of_the_disk_is_an_error_of_the_disk(tmp_path: Path) -> None:
    def fill() -> None:
        with draft_of(tmp_path / "file"):
            raise SafetensorError("No space left on device (os error 28)")

    with pytest.raises(OSError, match="file cannot be written: No space left"):
        fill()
