"""What is known of a file: its sha256, written beside it when first seen and checked ever after.

Hashing takes longer than loading, so a file whose size, inode and time of change are those of the
record is taken for unchanged; `ctime` is set by the kernel at every write and cannot be set back.
`ovsam weights verify` reads every byte all the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from pathlib import Path
from typing import Any

from filelock import FileLock

from ovsam_plugin.files import write_whole

# Two writes within one tick of the file system's clock have the same time.
_TICK_NS = 50_000_000


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def record_path(path: Path) -> Path:
    """Where a file's record is."""
    return path.with_name(f"{path.name}.json")


def record(path: Path, sha256: str | None = None, **facts: Any) -> str:
    """Writes a file's record; returns its sha256, which is computed when not given."""
    sha256 = sha256 or file_sha256(path)
    content = {"sha256": sha256, **_state(path), "recorded_ns": time.time_ns(), "facts": facts}
    write_whole(record_path(path), json.dumps(content, indent=1))
    return sha256


def read_record(path: Path) -> dict[str, Any] | None:
    """A file's record, or None.

    Raises:
        ValueError: there is one that cannot be read.
    """
    place = record_path(path)
    try:
        content = json.loads(place.read_text())
        if isinstance(content, dict) and len(content["sha256"]) == 64:
            return content
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        pass
    raise ValueError(f"{place} is damaged: remove it and {path.name}, and fetch that again")


def checked_sha256(path: Path, *, whole: bool = False) -> str:
    """A file's sha256, which must be the recorded one where there is a record.

    Args:
        path: a file.
        whole: read every byte even if the file seems unchanged.

    Raises:
        ValueError: the file has changed since it was recorded, or its record is damaged.
    """
    known = read_record(path)
    if known is None:
        return file_sha256(path)
    state = _state(path)
    settled = known.get("recorded_ns", 0) - state["ctime_ns"] > _TICK_NS
    if not whole and settled and all(known.get(key) == value for key, value in state.items()):
        return str(known["sha256"])
    sha256 = file_sha256(path)
    if sha256 != known["sha256"]:
        raise ValueError(
            f"{path} has changed: its sha256 is {sha256[:12]}..., recorded was "
            f"{known['sha256'][:12]}...; remove it and fetch or convert it again"
        )
    with contextlib.suppress(OSError):  # in a folder that cannot be written, hashed every time
        record(path, sha256, **known.get("facts", {}))
    return sha256


def remember(folder: Path, name: str, sha256: str, address: str) -> None:
    """Holds a published file against the hash it had when it was first fetched here.

    Raises:
        ValueError: it is another file now.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ledger = folder / "seen.json"
    with FileLock(f"{ledger}.lock"):
        seen = json.loads(ledger.read_text()) if ledger.is_file() else {}
        before = seen.setdefault(name, {"sha256": sha256, "address": address})
        if before["sha256"] != sha256:
            raise ValueError(
                f"{name} is not the file that was fetched here before: its sha256 is "
                f"{sha256[:12]}..., it was {before['sha256'][:12]}.... If its publisher has "
                f"replaced it, remove its entry from {ledger}"
            )
        write_whole(ledger, json.dumps(seen, indent=1))


def _state(path: Path) -> dict[str, int]:
    stat = path.stat()
    return {"size": stat.st_size, "inode": stat.st_ino, "ctime_ns": stat.st_ctime_ns}
