"""Files that are written as their content comes, whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO


@contextmanager
def whole_file(path: str | Path) -> Iterator[TextIO]:
    """A text file to write, in the place of `path` once all is written and not before."""
    path = Path(path).expanduser()
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            yield file
        umask = os.umask(0)
        os.umask(umask)
        Path(draft).chmod(0o666 & ~umask)
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


class RecordSpool:
    """Records that wait on disk until it is known how they are to be written; `close` it."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile("w+b")  # noqa: SIM115 it lives as long as the spool
        self._places: list[int] = []

    def close(self) -> None:
        """Forgets the records."""
        self._file.close()

    def __len__(self) -> int:
        return len(self._places)

    def append(self, record: Any) -> int:
        """Keeps what JSON can hold, and tells its number, from 0 on."""
        self._places.append(self._file.seek(0, os.SEEK_END))
        self._file.write(json.dumps(record, allow_nan=False).encode("ascii") + b"\n")
        return len(self._places) - 1

    def __getitem__(self, number: int) -> Any:
        self._file.seek(self._places[number])
        return json.loads(self._file.readline())

    def __iter__(self) -> Iterator[Any]:
        """All, in the order in which they came."""
        self._file.seek(0)
        for line in self._file:
            yield json.loads(line)
