"""Text embeddings on disk, so that no name is read twice by the same tower.

One file for each pair of tower and templates, name to vector: three new names cost three names,
whatever vocabulary they come in. It holds nothing but numbers and text (safetensors, no pickle).
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ovsam_plugin.files import draft_of

Array = npt.NDArray[np.float32]
LOCK_SECONDS = 60
ANOTHER_FOLDER = "set OVSAM_CACHE_DIR to a folder that can be written"
"""What to do where the cache folder cannot be."""


def cache_directory() -> Path:
    """Where this user's caches live; made when first written to.

    `OVSAM_CACHE_DIR` when set; otherwise `ovsam` in the platform's cache folder:
    `$XDG_CACHE_HOME` or `~/.cache` on Linux, `~/Library/Caches` on macOS, `%LOCALAPPDATA%` on
    Windows.
    """
    chosen = os.environ.get("OVSAM_CACHE_DIR")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path("~/Library/Caches/ovsam").expanduser()
    variable = "LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME"
    return Path(os.environ.get(variable) or Path("~/.cache").expanduser()) / "ovsam"


class EmbeddingCache:
    """The vectors of names under one tower and one set of templates.

    Safe for several processes: a file is replaced whole, under a lock, after reading what others
    have added. A file that is damaged or of another shape counts as empty, with a warning, and
    is replaced at the next write; a folder that cannot be written costs a warning and no more.

    Args:
        directory: the cache folder; this writes into `text/` in it.
        fingerprint: the tower's.
        templates: the sentences that names were put into.
    """

    def __init__(self, directory: Path, fingerprint: str, templates: Sequence[str]) -> None:
        identity = json.dumps([fingerprint, list(templates)], ensure_ascii=False)
        digest = hashlib.sha256(identity.encode()).hexdigest()[:24]
        self.path = directory / "text" / f"{digest}.safetensors"

    def read(self) -> tuple[list[str], Array]:
        """The names and their (n, D) float32 unit vectors; none and (0, 0) for no or a bad file."""
        try:
            return self._load()
        except (SafetensorError, OSError, ValueError) as error:
            warnings.warn(
                f"the text cache {self.path} is damaged ({error}) and is made again", stacklevel=2
            )
            return _nothing()

    def add(self, names: Sequence[str], vectors: Array) -> None:
        """Adds names and their (n, D) vectors to what the file holds by then."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self.path}.lock", timeout=LOCK_SECONDS):
                try:
                    old, kept = self._load()
                except (SafetensorError, ValueError):
                    old, kept = _nothing()
                if kept.shape[1:] != vectors.shape[1:]:
                    old, kept = [], vectors[:0]
                known = set(old)
                fresh = [i for i, name in enumerate(names) if name not in known]
                if fresh:
                    self._write(
                        [*old, *(names[i] for i in fresh)], np.concatenate([kept, vectors[fresh]])
                    )
        except (OSError, Timeout) as error:
            warnings.warn(
                f"cannot write the text cache {self.path} ({error}): names are read again next "
                f"time; {ANOTHER_FOLDER}",
                stacklevel=2,
            )

    def _load(self) -> tuple[list[str], Array]:
        if not self.path.is_file():
            return _nothing()
        with safe_open(str(self.path), framework="np") as file:
            joined, vectors = file.get_tensor("names"), file.get_tensor("embeddings")
            checksum = (file.metadata() or {}).get("crc32")
        if checksum != _checksum(joined, vectors):
            raise ValueError("its checksum differs")
        names = joined.tobytes().decode().split("\n")
        if vectors.dtype != np.float32 or vectors.ndim != 2 or len(vectors) != len(names):
            raise ValueError(f"{len(names)} names, vectors {vectors.dtype} {vectors.shape}")
        return names, vectors

    def _write(self, names: list[str], vectors: Array) -> None:
        joined = np.frombuffer("\n".join(names).encode(), dtype=np.uint8)
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        checksum = {"crc32": _checksum(joined, vectors)}
        with draft_of(self.path) as draft:
            save_file({"names": joined, "embeddings": vectors}, draft, metadata=checksum)


def _nothing() -> tuple[list[str], Array]:
    return [], np.zeros((0, 0), np.float32)


def _checksum(names: npt.NDArray[np.uint8], vectors: Array) -> str:
    numbers = np.ascontiguousarray(vectors).reshape(-1).view(np.uint8)
    return str(zlib.crc32(numbers.data, zlib.crc32(names.tobytes())))
