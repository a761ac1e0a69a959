"""Processes that load photographs, and whether they live.

One that is killed, as where memory runs out, may leave half a photograph on its way: whoever reads
it then waits for good, unless somebody watches.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterable
from typing import Generic, TypeVar

_T = TypeVar("_T")


class LoaderDiedError(RuntimeError):
    """A process that loads photographs was killed."""


class LoaderProcesses(Generic[_T]):
    """What this process has started for loading.

    Args:
        loader: starts them as it is iterated over.

    Attributes:
        loaded: the iterator.
    """

    def __init__(self, loader: Iterable[_T]) -> None:
        before = set(multiprocessing.active_children())
        self.loaded = iter(loader)
        self._mine = set(multiprocessing.active_children()) - before

    def check(self) -> None:
        """Whether none was killed; torch itself ends them with SIGTERM, and tells of other ends.

        Raises:
            LoaderDiedError: one was.
        """
        for process in self._mine:
            code = process.exitcode
            if code is not None and code < 0 and code != -signal.SIGTERM:
                raise LoaderDiedError(f"process {process.pid} was killed by signal {-code}")


def is_death(error: RuntimeError) -> bool:
    """Whether such a process is gone, as `check` says it or as torch does, which has no type."""
    return isinstance(error, LoaderDiedError) or str(error).startswith("DataLoader worker")
