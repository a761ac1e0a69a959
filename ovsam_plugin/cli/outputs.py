"""Whether what a command is to write can be written, asked before the work is done."""

from __future__ import annotations

import os
from pathlib import Path

from ovsam_plugin.cli.failure import UsageError


def check_file(option: str, path: Path | None, such_as: str) -> None:
    """That an option names a file that can be written.

    Args:
        option: such as "--export".
        path: what was given; None asks nothing.
        such_as: a name for the file, to be told.

    Raises:
        UsageError: it is a folder, or lies where nothing can be written.
    """
    if path is None:
        return
    path = path.expanduser()
    if path.is_dir():
        raise UsageError(f"{option} {path} is a folder: give a file, such as {path / such_as}")
    _check_above(option, path)


def check_picture(option: str, path: Path | None, such_as: str) -> None:
    """`check_file`, and that Pillow can write what its ending says.

    Raises:
        UsageError: see `check_file`; or no picture has such an ending.
    """
    check_file(option, path, such_as)
    if path is None:
        return
    from PIL import Image

    known = {end for end, kind in Image.registered_extensions().items() if kind in Image.SAVE}
    if path.suffix.lower() not in known:
        raise UsageError(f"{option} {path} has no ending of a picture's, such as {such_as}")


def check_folder(option: str, path: Path | None) -> None:
    """That an option names a folder, or a place for one.

    Raises:
        UsageError: it is a file, or lies where nothing can be written.
    """
    if path is None:
        return
    path = path.expanduser()
    if path.exists() and not path.is_dir():
        raise UsageError(f"{option} {path} is a file: give a folder")
    _check_above(option, path)


def _check_above(option: str, path: Path) -> None:
    above = next(parent for parent in path.absolute().parents if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise UsageError(f"{option} {path}: nothing can be written in {above}")
