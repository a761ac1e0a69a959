"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from safetensors import SafetensorError


@contextmanager
def draft_of(path: str | Path) -> Iterator[Path]:
    """Where to write what is to become a file: it takes the file's place when the block ends.

    The draft lies beside the file and belongs to this thread alone. Where the block raises, the
    file stays as it was and the draft is removed.

    Args:
        path: of the file; folders above it are made.

    Yields:
        The draft's path. What the block leaves unwritten is an error.

    Raises:
        OSError: it cannot be written, as where a disk is full; names the file.
    """
    path = Path(path).expanduser()
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    draft.touch()
    mode = draft.stat().st_mode
    draft.unlink()
    try:
        yield draft
        draft.chmod(mode)  # safetensors makes files that nobody else can read
        draft.replace(path)
    except SafetensorError as error:  # its own name for whatever a disk says
        raise OSError(f"{path} cannot be written: {error}") from error
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
    finally:
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
