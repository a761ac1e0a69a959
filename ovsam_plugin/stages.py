"""Work on a stream of things in stages, each on a thread of its own, none far ahead of the next."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, Full, Queue
from typing import Any, Generic, TypeVar

_T = TypeVar("_T")

# How often a thread that waits looks whether it is still wanted, in seconds.
_LOOK = 0.2
# How long a thread that is no longer wanted may take to finish what it is at.
_PATIENCE = 60.0


class Stages(Generic[_T]):
    """An iterator over what comes out of the last stage, in the order in which it went in.

    Use it as a context manager: leaving it stops all stages.

    Args:
        source: what goes in; taken on a thread of its own.
        stages: each takes what the one before gave.
        room: finished things that may wait before a stage. A stage that is ahead waits for the
            next, so memory stays bounded however slow the last is.

    Raises:
        Exception: from `next`, whatever the source or a stage raised, after what came before it.
    """

    def __init__(
        self, source: Iterator[_T], stages: Sequence[Callable[[_T], _T]], room: int = 1
    ) -> None:
        self._stop = threading.Event()
        queues: list[Queue[tuple[Any, BaseException | None] | None]]
        queues = [Queue(room) for _ in range(len(stages) + 1)]
        self._out = queues[-1]
        self._threads = [
            threading.Thread(target=self._feed, args=(source, queues[0]), daemon=True),
            *(
                threading.Thread(target=self._work, args=(work, before, after), daemon=True)
                for work, before, after in zip(stages, queues, queues[1:])
            ),
        ]

    def __enter__(self) -> Stages[_T]:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(_PATIENCE)

    def __iter__(self) -> Iterator[_T]:
        while (got := self._get(self._out)) is not None:
            value, error = got
            if error is not None:
                raise error
            yield value

    def _feed(self, source: Iterator[_T], out: Queue[Any]) -> None:
        try:
            for value in source:
                if not self._put(out, (value, None)):
                    return
        except BaseException as error:
            self._put(out, (None, error))
        self._put(out, None)

    def _work(self, work: Callable[[_T], _T], before: Queue[Any], after: Queue[Any]) -> None:
        while (got := self._get(before)) is not None:
            value, error = got
            if error is None:
                try:
                    value = work(value)
                except BaseException as raised:
                    value, error = None, raised
            if not self._put(after, (value, error)):
                return
            # What was handed on is not held while the next is waited for.
            del got, value, error
        self._put(after, None)

    def _put(self, queue: Queue[Any], value: object) -> bool:
        while not self._stop.is_set():
            try:
                queue.put(value, timeout=_LOOK)
                return True
            except Full:
                continue
        return False

    def _get(self, queue: Queue[Any]) -> Any:
        while not self._stop.is_set():
            try:
                return queue.get(timeout=_LOOK)
            except Empty:
                continue
        return None


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
