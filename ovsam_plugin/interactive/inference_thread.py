"""One thread that runs the network for everybody."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import PriorityQueue
from typing import Any, TypeVar

_T = TypeVar("_T")

# Seconds in which nobody asks for anything until work is done ahead: who moves a mouse, or has just
# opened a photograph, is about to ask again and would wait for all of it.
QUIET = 0.5


class InferenceThread:
    """Runs one piece of work after another, what somebody waits for first.

    Torch keeps a pool of threads for every thread that calls it; with one caller a machine's cores
    are not shared by several pools.
    """

    def __init__(self) -> None:
        self._queue: PriorityQueue[tuple[bool, int, Callable[[], Any], Future[Any]]]
        self._queue = PriorityQueue()
        self._count = itertools.count()
        self._asked, self._asking = -QUIET, threading.Event()
        threading.Thread(target=self._work, name="ovsam-inference", daemon=True).start()

    def run(self, work: Callable[[], _T]) -> _T:
        """What the work returns or raises; in its turn, before all that is done ahead."""
        future = self._put(work, ahead=False)
        self._asking.set()
        return future.result()

    def run_ahead(self, work: Callable[[], object]) -> None:
        """Does the work once nobody has asked for anything for a while; errors are lost."""
        self._put(work, ahead=True)

    def settle(self) -> None:
        """Waits until all that was asked so far is done."""
        self._put(lambda: None, ahead=True).result()

    def _put(self, work: Callable[[], _T], *, ahead: bool) -> Future[_T]:
        future: Future[_T] = Future()
        self._asked = time.monotonic()
        self._queue.put((ahead, next(self._count), work, future))
        return future

    def _work(self) -> None:
        while True:
            ahead, number, work, future = self._queue.get()
            wait = self._asked + QUIET - time.monotonic()
            if ahead and wait > 0:
                self._queue.put((ahead, number, work, future))
                self._asking.wait(wait)
                self._asking.clear()
                continue
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)
            if not ahead:
                self._asked = time.monotonic()
            # Nothing of a photograph stays in memory until the next work comes.
            del work, future
