"""Files from servers: resumed, retried, verified, and put in place whole.

On `requests`, since the same code must fetch from the Hub, from other servers and from a mirror;
huggingface_hub's own downloads know the Hub alone.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from filelock import FileLock
from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from urllib3.util import Retry

from ovsam_plugin.addresses import shown_address
from ovsam_plugin.checkpoints.record import checked_sha256, file_sha256, record, record_path
from ovsam_plugin.checkpoints.sources import File

MIRROR = "OVSAM_MIRROR"
"""Environment variable: the address of a folder that has all files, under their own names."""

TIMEOUT = (10, 60)  # seconds to connect, and between two pieces
TRIES = 5  # without a byte of progress
_PIECE = 1 << 16  # all that a broken connection costs
_BUFFER = 1 << 16


class FetchError(ConnectionError):
    """A file cannot be fetched; the message says which, from where and why."""


class NoRangesError(FetchError):
    """The server gives only whole files."""


def addresses(file: File) -> tuple[str, ...]:
    """Where to look for a file, in order."""
    mirror = os.environ.get(MIRROR)
    if mirror:
        return (f"{mirror.rstrip('/')}/{file.name}",)
    return file.address, *file.mirrors


def fetch(file: File, folder: Path) -> Path:
    """A published file in a folder, fetched unless it is there already.

    What was fetched of it before is kept and gone on with. Safe for several processes: one fetches,
    the others wait and find it there.

    Raises:
        FetchError: no server gives it.
        ValueError: what came is another file; nothing of it is kept.
        OSError: the disk is full, or the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file.name
    with FileLock(f"{path}.lock"):
        if path.is_file():
            check_published(file, path)
            return path
        part = path.with_name(f"{file.name}.part")
        _from_any(file, lambda address: _download(file, address, part))
        sha256 = file_sha256(part)
        try:
            _check_facts(file, part.stat().st_size, sha256)
        except ValueError:
            part.unlink()
            raise
        record_path(path).unlink(missing_ok=True)
        part.replace(path)
        record(path, sha256, address=file.address)
    return path


def check_published(file: File, path: Path) -> str:
    """The sha256 of a file on this machine, held against what is known of the published one.

    Raises:
        ValueError: it is another file.
    """
    sha256 = checked_sha256(path)
    _check_facts(file, path.stat().st_size, sha256)
    return sha256


def _check_facts(file: File, size: int, sha256: str) -> None:
    if file.size is not None and size != file.size:
        raise ValueError(f"{file.name} has {size:,} bytes, the published file {file.size:,}")
    if not sha256.startswith(file.sha256):
        raise ValueError(
            f"{file.name} is not the published file: its sha256 is {sha256[:12]}..., that of the "
            f"published one {file.sha256[:12]}..."
        )


def _from_any(file: File, get: Callable[[str], Any]) -> Any:
    """What the first address that answers gives."""
    failures = []
    for address in addresses(file):
        try:
            return get(address)
        except NoRangesError:
            raise
        except FetchError as error:
            failures.append(str(error))
    raise FetchError("; ".join(failures))


def _download(file: File, address: str, part: Path) -> None:
    """Goes on with `part` until it is as long as the server says the file is."""
    tag_file = part.with_name(f"{part.name}.tag")
    session, tries = _session(), 0
    with _bar() as bar:
        task = bar.add_task(file.name, total=file.size or file.about)
        while True:
            start = part.stat().st_size if part.is_file() else 0
            try:
                if _continue(
                    session,
                    file,
                    address,
                    part,
                    tag_file,
                    lambda n, of: bar.update(task, completed=n, total=of),
                ):
                    break
            except RequestException as error:
                now = part.stat().st_size if part.is_file() else 0
                tries = 1 if now > start else tries + 1
                if tries >= TRIES:
                    raise FetchError(f"{shown_address(address)}: {_reason(error)}") from error
                time.sleep(min(2.0 ** (tries - 2), 30.0))
    tag_file.unlink(missing_ok=True)


def _continue(
    session: requests.Session,
    file: File,
    address: str,
    part: Path,
    tag_file: Path,
    report: Callable[[int, int | None], None],
) -> bool:
    """One request for the rest of a file; whether it is whole now.

    Raises:
        RequestException: the connection broke; what came is in `part`.
        FetchError: the server will not give the file.
        ValueError: it gives another.
    """
    start = part.stat().st_size if part.is_file() else 0
    headers = {"Range": f"bytes={start}-"} if start else {}
    if start and tag_file.is_file():
        # A file that was replaced in the meantime is sent whole.
        headers["If-Range"] = tag_file.read_text()
    with session.get(address, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if response.status_code == 416:  # `part` is as long as the file, or of another one
            length = _total(response)
            if length == start:
                return True
            part.unlink()
            return False
        _check_answer(response, address)
        if response.status_code != 206:
            start = 0
        left = response.headers.get("Content-Length")
        total = None if left is None else start + int(left)
        if file.size is not None and total not in (None, file.size):
            raise ValueError(
                f"{shown_address(address)} has {total:,} bytes, "
                f"the published {file.name} {file.size:,}"
            )
        free = shutil.disk_usage(part.parent).free
        if total is not None and total - start > free:
            raise OSError(f"{file.name} needs {total - start:,} bytes, {part.parent} has {free:,}")
        tag = response.headers.get("ETag", "")
        if tag and not tag.startswith("W/"):
            tag_file.write_text(tag)
        with part.open("ab" if start else "wb") as out:
            report(start, total)
            for piece in response.iter_content(_PIECE):
                out.write(piece)
                report(out.tell(), total)
        return total is None or part.stat().st_size == total


class RemoteFile(io.RawIOBase):
    """A file on a server as a seekable one, of which only what is read is fetched.

    Args:
        address: of the file.
        size: in bytes, if known.

    Raises:
        NoRangesError: the server gives only the whole file.
        FetchError: it gives nothing.
        ValueError: the file has another size.
    """

    def __init__(self, address: str, size: int | None = None) -> None:
        self.address = address
        self._session = _session()
        self._position = 0
        self._tag = ""
        response, _ = self._get(0, 1)
        self.size = _total(response)
        self._tag = response.headers.get("ETag", "")
        if size is not None and size != self.size:
            raise ValueError(
                f"{shown_address(address)} has {self.size:,} bytes, the published file {size:,}"
            )

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        if start + offset < 0:
            raise OSError("seek before the beginning")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        count = min(len(buffer), self.size - self._position)
        if count <= 0:
            return 0
        _, data = self._get(self._position, count)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def _get(self, start: int, count: int) -> tuple[requests.Response, bytes]:
        headers = {"Range": f"bytes={start}-{start + count - 1}"}
        if self._tag and not self._tag.startswith("W/"):
            headers["If-Range"] = self._tag
        for again in range(TRIES):
            try:
                with self._session.get(
                    self.address, headers=headers, stream=True, timeout=TIMEOUT
                ) as response:
                    _check_answer(response, self.address)
                    if response.status_code != 206:
                        if self._tag:
                            raise FetchError(f"{self.address} changed while it was read")
                        raise NoRangesError(f"{self.address} can only be fetched whole")
                    data: bytes = response.content
            except RequestException as error:
                if again == TRIES - 1:
                    raise FetchError(f"{self.address}: {_reason(error)}") from error
                time.sleep(min(2.0 ** (again - 1), 30.0))
                continue
            if len(data) != count:
                raise FetchError(f"{self.address} gave {len(data)} bytes of the {count} asked for")
            return response, data
        raise AssertionError


def open_remote(file: File) -> io.BufferedReader:
    """A published file on its server, read through a buffer.

    Raises:
        NoRangesError, FetchError, ValueError: see `RemoteFile`.
    """
    remote: RemoteFile = _from_any(file, lambda address: RemoteFile(address, file.size))
    return io.BufferedReader(remote, _BUFFER)


def _session() -> requests.Session:
    session = requests.Session()
    # Packed answers could not be resumed.
    session.headers["Accept-Encoding"] = "identity"
    # A busy server is asked again here; a broken line where it is known how much had come.
    busy = (429, 500, 502, 503, 504)
    retry = Retry(total=4, connect=0, read=0, other=0, backoff_factor=0.5, status_forcelist=busy)
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    return session


def _check_answer(response: requests.Response, address: str) -> None:
    if not response.ok:
        raise FetchError(
            f"{shown_address(address)}: the server says {response.status_code} {response.reason}"
        )
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise FetchError(
            f"{shown_address(address)}: the server sends a web page in place of the file"
        )


def _total(response: requests.Response) -> int:
    """The length of the whole file, from the header of a part of it."""
    found = re.search(r"/(\d+)$", response.headers.get("Content-Range", ""))
    if found is None:
        raise NoRangesError(f"{shown_address(response.url)} does not say how long it is")
    return int(found[1])


def _reason(error: RequestException) -> str:
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.ConnectionError):
        host = urlsplit(str(error.request.url)).hostname if error.request is not None else None
        return f"no connection to {host or 'the server'}"
    if isinstance(error, requests.exceptions.RetryError):
        return "the server keeps saying that it is busy"
    # What it says has the whole address in it, with what that may carry.
    return type(error).__name__


def _bar() -> Progress:
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
