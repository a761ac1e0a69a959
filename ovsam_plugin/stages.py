"""Work on a stream of things in stages, each on threads of its own, none far ahead of the next."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from queue import Empty, Full, Queue
from typing import Any, Generic, TypeAlias, TypeVar

_T = TypeVar("_T")

# How often a thread that waits looks whether it is still wanted, in seconds.
_LOOK = 0.2
# How long a thread that is no longer wanted may take to finish what it is at; the source's, which
# may be stuck for good, less.
_PATIENCE, _SOURCE_PATIENCE = 60.0, 5.0

_Line: TypeAlias = "Queue[Future[Any] | None]"
"""Things in their order, which may still be worked on; None is the end."""


class Stages(Generic[_T]):
    """An iterator over what comes out of the last stage, in the order in which it went in.

    Use it as a context manager: leaving it stops all stages.

    Args:
        source: what goes in; taken on a thread of its own.
        stages: each takes what the one before gave.
        room: finished things that may wait before a stage. A stage that is ahead waits for the
            next, so memory stays bounded however slow the last is.
        abreast: things that a stage works on at once, each on a thread of its own.
        begin: called on each of those threads before its first thing.
        watch: called now and then while `next` waits; what it raises comes out there.

    Raises:
        Exception: from `next`, whatever the source or a stage raised, after what came before it.
    """

    def __init__(
        self,
        source: Iterator[_T],
        stages: Sequence[Callable[[_T], _T]],
        room: int = 1,
        abreast: int = 1,
        begin: Callable[[], None] | None = None,
        watch: Callable[[], None] | None = None,
    ) -> None:
        self._stop = threading.Event()
        self._watch = watch
        lines: list[_Line] = [Queue(room)]
        lines += [Queue(room + abreast - 1) for _ in stages]
        self._out = lines[-1]
        self._threads = [_thread(self._feed, source, lines[0])]
        for work, before, after in zip(stages, lines, lines[1:]):
            turn = _Turn()
            for _ in range(abreast):
                self._threads.append(_thread(self._work, work, before, after, turn, begin))

    def __enter__(self) -> Stages[_T]:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._stop.set()
        source, *workers = self._threads
        for thread in workers:
            thread.join(_PATIENCE)
        source.join(_SOURCE_PATIENCE)

    def __iter__(self) -> Iterator[_T]:
        watch = self._watch
        while (coming := self._get(self._out, watch)) is not None and self._ready(coming, watch):
            yield coming.result()

    def _feed(self, source: Iterator[_T], out: _Line) -> None:
        try:
            for value in source:
                ready: Future[Any] = Future()
                ready.set_result(value)
                if not self._put(out, ready):
                    return
                del value, ready
        except BaseException as error:
            failed: Future[Any] = Future()
            failed.set_exception(error)
            self._put(out, failed)
        self._put(out, None)

    def _work(
        self,
        work: Callable[[_T], _T],
        before: _Line,
        after: _Line,
        turn: _Turn,
        begin: Callable[[], None] | None,
    ) -> None:
        if begin is not None:
            begin()
        while True:
            # Taken, and given its place behind, before anyone else takes: the order is kept.
            with turn.lock:
                given = None if turn.over else self._get(before)
                if given is None:
                    if not turn.over:
                        turn.over = True
                        self._put(after, None)
                    return
                made: Future[Any] = Future()
                if not self._put(after, made):
                    return
            if not self._ready(given):
                return
            try:
                made.set_result(work(given.result()))
            except BaseException as error:
                made.set_exception(error)
            # What was handed on is not held while the next is waited for.
            del given, made

    def _ready(self, coming: Future[Any], watch: Callable[[], None] | None = None) -> bool:
        """Waits for a thing; whether it came before everything was stopped."""
        while not self._stop.is_set():
            if wait([coming], _LOOK).done:
                return True
            if watch is not None:
                watch()
        return False

    def _put(self, line: _Line, value: Future[Any] | None) -> bool:
        while not self._stop.is_set():
            try:
                line.put(value, timeout=_LOOK)
                return True
            except Full:
                continue
        return False

    def _get(self, line: _Line, watch: Callable[[], None] | None = None) -> Future[Any] | None:
        while not self._stop.is_set():
            try:
                return line.get(timeout=_LOOK)
            except Empty:
                if watch is not None:
                    watch()
        return None


class _Turn:
    """Whose turn it is among threads that do the same work."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.over = False


def _thread(work: Callable[..., None], *arguments: object) -> threading.Thread:
    return threading.Thread(target=work, args=arguments, daemon=True)


def within(seconds: float, work: Callable[[], _T]) -> _T:
    """What the work returns or raises, unless it takes too long; it is then left to itself.

    Args:
        seconds: how long is too long.
        work: done on a thread of its own, which cannot be stopped: its outcome is forgotten.

    Raises:
        TimeoutError: it took too long.
    """
    outcome: list[tuple[_T | None, BaseException | None]] = []

    def run() -> None:
        try:
            outcome.append((work(), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise TimeoutError(f"not done after {seconds:g} seconds")
    value, error = outcome[0]
    if error is not None:
        raise error
    return value  # type: ignore[return-value]
