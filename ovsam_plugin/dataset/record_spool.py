"""Records that wait on disk."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from typing import Any


class RecordSpool:
    """Records that wait on disk until it is known how they are to be written; `close` it."""

    def __init__(self) -> None:
        self._folder = tempfile.gettempdir()
        # It lives as long as the spool.
        self._file = tempfile.TemporaryFile("w+b", dir=self._folder)  # noqa: SIM115
        self._places: list[int] = []

    def close(self) -> None:
        """Forgets the records."""
        self._file.close()

    def __len__(self) -> int:
        return len(self._places)

    def append(self, record: Any) -> int:
        """Keeps what JSON can hold, and tells its number, from 0 on.

        Raises:
            OSError: the disk is full; the error names the folder.
        """
        line = json.dumps(record, allow_nan=False).encode("ascii") + b"\n"
        try:
            self._places.append(self._file.seek(0, os.SEEK_END))
            self._file.write(line)
            self._file.flush()
        except OSError as error:
            # Not the folder that the file will lie in, whose disk may have room.
            why = f"{error.strerror} (TMPDIR says where records wait)"
            raise OSError(error.errno, why, self._folder) from error
        return len(self._places) - 1

    def __getitem__(self, number: int) -> Any:
        self._file.seek(self._places[number])
        return json.loads(self._file.readline())

    def __iter__(self) -> Iterator[Any]:
        """All, in the order in which they came."""
        self._file.seek(0)
        for line in self._file:
            yield json.loads(line)
