"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from safetensors import SafetensorError


@contextmanager
def draft_of(path: str | Path) -> Iterator[Path]:
    """Where to write what is to become a file: it takes the file's place when the block ends.

    The draft lies beside the file and belongs to this thread alone. Where the block raises, the
    file stays as it was and the draft is removed. Of a link, the file it leads to is replaced; what
    is no file, such as /dev/null or a pipe, has no place to take and is written to directly.

    Args:
        path: of the file; folders above it are made.

    Yields:
        The draft's path. What the block leaves unwritten is an error.

    Raises:
        OSError: it cannot be written, as on a full disk; the error names the file.
    """
    path = Path(path).expanduser()
    if path.exists() and not path.is_file() and not path.is_dir():
        yield path
        return
    path = path.resolve()
    draft = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.touch()
        mode = draft.stat().st_mode
        draft.unlink()
        yield draft
        draft.chmod(mode)  # safetensors makes files that nobody else can read
        draft.replace(path)
    except SafetensorError as error:  # its own name for whatever a disk says
        raise OSError(f"{path} cannot be written: {error}") from error
    except OSError as error:
        # Python names no file where a write fails, and the draft is no name of the user's.
        if error.errno is not None and str(error.filename) in ("None", str(draft)):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        with suppress(OSError):  # where nothing can be written, the first error counts
            draft.unlink(missing_ok=True)


@contextmanager
def whole_file(path: str | Path) -> Iterator[TextIO]:
    """A text file to write as its content comes; see `draft_of`."""
    with draft_of(path) as draft, draft.open("w", encoding="utf-8") as file:
        yield file


def write_whole(path: str | Path, text: str) -> None:
    """Replaces a small text file at once, so that nobody reads half of it."""
    with draft_of(path) as draft:
        draft.write_text(text + "\n", encoding="utf-8")
