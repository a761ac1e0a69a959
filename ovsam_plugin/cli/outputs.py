"""What a command gives: its words or JSON, and files, of which it is asked before the work is done
whether they can be written."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ovsam_plugin.cli.failure import UsageError

if TYPE_CHECKING:
    from rich.console import Console


def console(as_json: bool = False, *, table: bool = False) -> Console:
    """Where a command says things: beside the JSON, where that is asked for.

    Args:
        as_json: whether the standard output is the JSON's.
        table: whether a table is to fit the window; sentences go on beyond it.
    """
    from rich.console import Console

    return Console(highlight=False, soft_wrap=not table, stderr=as_json)


def print_json(value: Any) -> None:
    """A summary, a list or a table as JSON, on the standard output alone."""
    typer.echo(json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False))


def _plain(value: Any) -> Any:
    """What JSON can hold: numbers that are none are null, whatever else is unknown its text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return {name: _plain(getattr(value, name)) for name in names if not name.startswith("_")}
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return value.isoformat()
    return _plain(value.item()) if hasattr(value, "item") else str(value)  # of numpy and torch


def check_file(
    option: str, path: Path | None, such_as: str, inputs: Iterable[Path | None] = ()
) -> None:
    """That an option names a file that can be written.

    Args:
        option: such as "--export".
        path: what was given; None asks nothing.
        such_as: a name for the file, to be told.
        inputs: files that the command reads.

    Raises:
        UsageError: it is a folder or one of the inputs, or lies where nothing can be written.
    """
    if path is None:
        return
    path = path.expanduser()
    if path.is_dir():
        raise UsageError(f"{option} {path} is a folder: give a file, such as {path / such_as}")
    if any(other and other.exists() and path.exists() and path.samefile(other) for other in inputs):
        raise UsageError(f"{option} {path} would replace a file that is read: give another path")
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
        raise UsageError(
            f"{option} {path} does not end as a picture's name does, such as {such_as}"
        )


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
