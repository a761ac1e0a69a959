"""Errors as one clear message: exit code 2 for how it was called, 1 for what then failed."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
import warnings
from collections.abc import Iterator

import typer

from ovsam_plugin.consent import ConsentError, Setting

USAGE = 2
FAILURE = 1
STOPPED = 130  # what shells report for Ctrl-C


class UsageError(Exception):
    """The command was called with what it cannot take."""


class CommandError(Exception):
    """The command was called well and failed all the same."""


class StoppedError(Exception):
    """Somebody asked the command's work to stop, elsewhere than by Ctrl-C."""


@contextlib.contextmanager
def usage() -> Iterator[None]:
    """What is raised inside as a ValueError or TypeError is an error of usage."""
    try:
        yield
    except ConsentError as error:
        raise UsageError(error.spelled(_option)) from error
    except (ValueError, TypeError) as error:
        raise UsageError(str(error)) from error


@contextlib.contextmanager
def one_message(debug: bool, stopped: str = "stopped") -> Iterator[None]:
    """Everything raised inside ends the command with one message, and a traceback if asked for.

    Args:
        debug: also show where an error came from.
        stopped: what is said after Ctrl-C, or a stop from elsewhere.
    """
    if not debug:
        warnings.simplefilter("ignore")
        os.environ.setdefault("PYTHONWARNINGS", "ignore")  # of worker processes
        os.environ.setdefault("FIFTYONE_DATABASE_VALIDATION", "false")  # a note on its age
        os.environ.setdefault("FIFTYONE_LOGGING_LEVEL", "ERROR")
    try:
        yield
    except typer.Exit:
        raise
    except (KeyboardInterrupt, StoppedError):
        _say(stopped)
        raise typer.Exit(STOPPED) from None
    except Exception as error:
        if debug:
            traceback.print_exc()
        _say(_explain(error))
        raise typer.Exit(USAGE if isinstance(error, UsageError) else FAILURE) from None


def _option(setting: Setting) -> str:
    """The library speaks of keywords; here they are options."""
    chosen = f"-{setting.value}" if isinstance(setting.value, str) else ""
    return f"use --{setting.name}{chosen}"


def _say(message: str) -> None:
    sys.stderr.write(f"ovsam: {message}\n")


def _explain(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror is not None:
        return error.strerror + ("" if error.filename is None else f": {error.filename!r}")
    kind, text = type(error).__name__, str(error).strip()
    spoken = UsageError | CommandError | ValueError | TypeError | OSError | FloatingPointError
    if isinstance(error, spoken) and text:
        return text
    return f"{kind}: {text or 'no reason given'} (--debug shows where)"
