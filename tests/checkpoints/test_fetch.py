"""Downloads from a real server on this machine, one that misbehaves too."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ovsam_plugin.checkpoints import fetch as fetching
from ovsam_plugin.checkpoints.archive import TorchArchive
from ovsam_plugin.checkpoints.fetch import (
    FetchError,
    NoRangesError,
    RemoteFile,
    check_published,
    fetch,
    open_remote,
)
from ovsam_plugin.checkpoints.sources import File
from tests.checkpoints.server import Server, serve

ROOT = Path(__file__).resolve().parents[2]
PIECE = 1 << 16
"""What a broken connection may cost."""
CONTENT = os.urandom(3_000_000)
FILE = File(
    name="neck.pth",
    address="https://nowhere.invalid/neck.pth",
    size=len(CONTENT),
    about=len(CONTENT),
    sha256=hashlib.sha256(CONTENT).hexdigest(),
)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / FILE.name).write_bytes(CONTENT)
    monkeypatch.setattr(fetching.time, "sleep", lambda seconds: None)
    with serve(folder) as running:
        monkeypatch.setenv("OVSAM_MIRROR", running.address)
        yield running


def left(folder: Path) -> set[str]:
    """What is in a folder beside locks."""
    return {path.name for path in folder.glob("*") if path.suffix != ".lock"}


def test_a_file_is_fetched_once_and_whole(server: Server, tmp_path: Path) -> None:
    for _ in range(2):
        assert fetch(FILE, tmp_path / "to").read_bytes() == CONTENT
    assert server.requests == [("neck.pth", None)]
    assert left(tmp_path / "to") == {"neck.pth", "neck.pth.json"}


def test_a_broken_download_goes_on_where_it_broke(server: Server, tmp_path: Path) -> None:
    server.break_after = [1_000_000, 500_000]
    assert fetch(FILE, tmp_path / "to").read_bytes() == CONTENT
    starts = [int((asked or "bytes=0-")[6:-1]) for _, asked in server.requests]
    assert starts == [
        0,
        pytest.approx(1_000_000, abs=PIECE),
        pytest.approx(1_500_000, abs=2 * PIECE),
    ]
    assert server.total < len(CONTENT) + 2 * PIECE


@pytest.mark.parametrize(
    ("breaks", "fetched"),
    [([0] * 4, True), ([0] * 5, False), ([0, 0, 0, 0, 200_000, 0, 0, 0], True)],
)
def test_a_line_is_tried_five_times_and_anew_once_something_came(
    server: Server, tmp_path: Path, breaks: list[int], fetched: bool
) -> None:
    server.break_after = list(breaks)
    if fetched:
        assert fetch(FILE, tmp_path / "to").read_bytes() == CONTENT
    else:
        with pytest.raises(FetchError, match="no connection|neck.pth"):
            fetch(FILE, tmp_path / "to")
    assert len(server.requests) == len(breaks) + fetched


@pytest.mark.parametrize(("refused", "fetched"), [(4, True), (5, False)])
def test_a_busy_server_is_asked_five_times(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: int, fetched: bool
) -> None:
    monkeypatch.setattr("urllib3.util.retry.Retry.get_backoff_time", lambda self: 0)
    # Each of the tries of a broken line would ask as often again.
    monkeypatch.setattr(fetching, "TRIES", 1)
    server.refuse = refused
    if fetched:
        assert fetch(FILE, tmp_path / "to").read_bytes() == CONTENT
    else:
        with pytest.raises(FetchError, match="neck.pth"):
            fetch(FILE, tmp_path / "to")
    assert len(server.requests) == 5


def test_a_remote_file_is_asked_five_times(server: Server) -> None:
    server.break_after = [0] * 4
    assert RemoteFile(f"{server.address}/neck.pth").size == len(CONTENT)
    server.break_after = [0] * 5
    with pytest.raises(FetchError, match="neck.pth"):
        RemoteFile(f"{server.address}/neck.pth")
    assert len(server.requests) == 10


@pytest.mark.parametrize("away", [False, True])
def test_an_error_keeps_the_password_of_a_mirror_to_itself(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, away: bool
) -> None:
    server.refuse = 99
    address = "http://127.0.0.1:9" if away else server.address
    monkeypatch.setenv("OVSAM_MIRROR", address.replace("//", "//me:S3CRET@") + "/?key=S3CRET")
    monkeypatch.setattr("urllib3.util.retry.Retry.get_backoff_time", lambda self: 0)
    monkeypatch.setattr(fetching, "TRIES", 1)
    with pytest.raises(FetchError, match="127.0.0.1") as refused:
        fetch(FILE, tmp_path / "to")
    assert "S3CRET" not in str(refused.value)


@pytest.mark.parametrize("size", [len(CONTENT) - 1, len(CONTENT) + 1])
def test_a_file_of_another_size_than_the_published_is_not_even_fetched(
    server: Server, tmp_path: Path, size: int
) -> None:
    """Whatever its hash: that of some files is not published."""
    with pytest.raises(ValueError, match=f"has 3,000,000 bytes, the published neck.pth {size:,}"):
        fetch(replace(FILE, size=size, sha256=""), tmp_path / "to")
    assert left(tmp_path / "to") == set()


@pytest.mark.parametrize("size", [len(CONTENT) - 1, len(CONTENT) + 1])
def test_a_file_on_this_machine_of_another_size_is_not_the_published(
    server: Server, tmp_path: Path, size: int
) -> None:
    path = fetch(FILE, tmp_path / "to")
    with pytest.raises(ValueError, match=f"has 3,000,000 bytes, the published file {size:,}"):
        check_published(replace(FILE, size=size, sha256=""), path)
    assert check_published(replace(FILE, sha256=""), path) == FILE.sha256
    assert check_published(replace(FILE, size=None), path) == FILE.sha256


def test_what_an_earlier_call_fetched_is_gone_on_with(server: Server, tmp_path: Path) -> None:
    server.break_after = [2_000_000, 0, 0, 0, 0, 0]
    with pytest.raises(FetchError, match="neck.pth"):
        fetch(FILE, tmp_path / "to")
    assert not (tmp_path / "to" / "neck.pth").exists()
    server.break_after = []
    assert fetch(FILE, tmp_path / "to").read_bytes() == CONTENT
    assert server.total < len(CONTENT) + PIECE


def test_a_file_that_was_replaced_in_between_is_fetched_anew(
    server: Server, tmp_path: Path
) -> None:
    server.break_after = [2_000_000, 0, 0, 0, 0, 0]
    with pytest.raises(FetchError):
        fetch(FILE, tmp_path / "to")
    other = CONTENT[::-1]
    (server.folder / FILE.name).write_bytes(other)
    os.utime(server.folder / FILE.name, ns=(1, 1))
    file = replace(FILE, sha256=hashlib.sha256(other).hexdigest())
    assert fetch(file, tmp_path / "to").read_bytes() == other


def test_a_server_without_ranges_starts_again(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    server.break_after = [1_000_000]
    assert fetch(FILE, tmp_path / "to").read_bytes() == CONTENT
    assert server.total == 1_000_000 + len(CONTENT)


def test_a_server_that_is_busy_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.refuse = 2
    assert fetch(FILE, tmp_path / "to").read_bytes() == CONTENT
    assert len(server.requests) == 3


def test_a_part_that_is_already_whole_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "neck.pth.part").write_bytes(CONTENT)
    assert fetch(FILE, tmp_path / "to").read_bytes() == CONTENT
    assert server.total == 0


@pytest.mark.parametrize("damage", ["flip", "shorter", "longer", "sign-in page", "another file"])
def test_what_is_not_the_published_file_is_refused_and_not_kept(
    server: Server, tmp_path: Path, damage: str
) -> None:
    wrong = bytearray(CONTENT)
    wrong[1_234_567] ^= 1
    path = server.folder / FILE.name
    if damage == "sign-in page":
        server.pages.add(FILE.name)
    else:
        path.write_bytes(
            {
                "flip": bytes(wrong),
                "shorter": CONTENT[:-1],
                "longer": CONTENT + b"x",
                "another file": os.urandom(len(CONTENT)),
            }[damage]
        )
    with pytest.raises((ValueError, FetchError), match="neck.pth"):
        fetch(FILE, tmp_path / "to")
    assert left(tmp_path / "to") == set()


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "http://no-such-host.invalid"])
def test_no_connection_says_where_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("OVSAM_MIRROR", address)
    monkeypatch.setattr(fetching, "TRIES", 1)
    with pytest.raises(FetchError, match=f"{address}/neck.pth: no connection to"):
        fetch(FILE, tmp_path / "to")


def test_a_second_address_is_asked_where_the_first_has_nothing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OVSAM_MIRROR")
    file = replace(
        FILE,
        address=f"{server.address}/gone.pth",
        mirrors=(f"{server.address}/neck.pth",),
    )
    assert fetch(file, tmp_path / "to").read_bytes() == CONTENT
    assert [name for name, _ in server.requests] == ["gone.pth", "neck.pth"]


def test_two_processes_at_once_fetch_one_good_file(server: Server, tmp_path: Path) -> None:
    script = tmp_path / "fetch_it.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\n"
        "from ovsam_plugin.checkpoints.fetch import fetch\n"
        "from ovsam_plugin.checkpoints.sources import File\n"
        f"file = File(name={FILE.name!r}, address='', about=1, size={FILE.size}, "
        f"sha256={FILE.sha256!r})\n"
        "print(fetch(file, Path(sys.argv[1])))\n"
    )
    server.break_after = [1_000_000]  # so that there is time to get in each other's way
    command = [sys.executable, str(script), str(tmp_path / "to")]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    both = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE) for _ in range(2)]
    said = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert said[0] == said[1]
    assert (tmp_path / "to" / "neck.pth").read_bytes() == CONTENT
    assert server.total < len(CONTENT) + PIECE
    assert left(tmp_path / "to") == {"neck.pth", "neck.pth.json"}


def test_a_remote_file_reads_like_one_on_disk(server: Server) -> None:
    local = io.BytesIO(CONTENT)
    with open_remote(FILE) as remote:
        for offset, whence, count in [(0, 0, 10), (-22, 2, 22), (-5, 1, 3), (2_999_990, 0, 50)]:
            assert remote.seek(offset, whence) == local.seek(offset, whence)
            assert remote.read(count) == local.read(count)
        assert remote.seek(10_000_000) == 10_000_000
        assert remote.read(1) == b""


def test_a_remote_zip_gives_a_member_for_little_more_than_its_size(
    server: Server, tmp_path: Path
) -> None:
    with zipfile.ZipFile(server.folder / "big.zip", "w") as made:
        for i in range(50):
            made.writestr(f"{i}.bin", os.urandom(1_000_000))
    remote = RemoteFile(f"{server.address}/big.zip")
    with zipfile.ZipFile(io.BufferedReader(remote, 1 << 16)) as archive:  # type: ignore[type-var]
        assert len(archive.read("25.bin")) == 1_000_000
    assert server.total < 1_300_000


def test_a_remote_file_on_a_server_without_ranges_is_said_to_be_so(server: Server) -> None:
    server.ranges = False
    with pytest.raises(NoRangesError, match="only be fetched whole"):
        open_remote(FILE)


def test_a_remote_file_of_another_size_is_refused(server: Server) -> None:
    with pytest.raises(ValueError, match="3,000,000 bytes, the published file 5"):
        open_remote(replace(FILE, size=5))


def test_a_remote_file_that_changes_while_it_is_read_is_refused(server: Server) -> None:
    remote = RemoteFile(f"{server.address}/neck.pth")
    (server.folder / "neck.pth").write_bytes(CONTENT[::-1])
    os.utime(server.folder / "neck.pth", ns=(1, 1))
    with pytest.raises(FetchError, match="changed while it was read"):
        remote.readinto(bytearray(10))


def test_a_line_that_breaks_while_a_remote_file_is_read_is_tried_again(server: Server) -> None:
    torch.save({"a": torch.ones(1000)}, server.folder / "a.pth")
    remote = RemoteFile(f"{server.address}/a.pth")
    server.break_after = [3, 5]
    archive = TorchArchive(io.BufferedReader(remote), "a.pth")  # type: ignore[type-var]
    assert torch.equal(archive.read("a"), torch.ones(1000))
