"""The samples that a worker takes, a batch at a time, just before they are loaded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from ovsam_plugin.dataset.database import patiently
from ovsam_plugin.dataset.workers import Worker

Open: TypeAlias = Callable[[Sequence[str]], Sequence[str]]
"""Those of some samples that are still to be done."""


class Claims:
    """What a DataLoader takes as its batch sampler: claims a batch when it is about to be loaded.

    Args:
        worker: who claims.
        ids: all samples, by their places.
        size: of a batch; what is set later counts from the next one on.
        open_: those of some claimed samples that are still to be done.

    Attributes:
        size: as given.
        batches: the samples of each batch that was handed out and is not taken off yet.
        handed: the same, of those that are not loaded yet.
        left: samples that another worker has.
        stopped: whether somebody asked the worker to stop, as far as was looked.
    """

    def __init__(self, worker: Worker, ids: Sequence[str], size: int, open_: Open) -> None:
        self._worker = worker
        self._ids = ids
        self.size = size
        self._open = open_
        self.batches: deque[list[str]] = deque()
        self.handed: deque[list[str]] = deque()
        self.left: list[str] = []
        self.stopped = False

    def should_stop(self) -> bool:
        """Looks whether somebody has asked the worker to stop."""
        self.stopped = self.stopped or patiently(self._worker.should_stop)
        return self.stopped

    def __iter__(self) -> Iterator[list[int]]:
        start = end = 0
        while end < len(self._ids):
            if self.should_stop():
                return
            start, end = end, end + self.size
            part = self._ids[start:end]
            mine = patiently(lambda part=part: self._worker.claim(part))  # type: ignore[misc]
            ready = set(self._open(mine))
            spare = [i for i in mine if i not in ready]
            patiently(lambda spare=spare: self._worker.release(spare))  # type: ignore[misc]
            self.left += [i for i in part if i not in mine]
            if ready:
                chosen = [i for i in part if i in ready]
                self.batches.append(chosen)
                self.handed.append(chosen)
                yield [start + place for place, i in enumerate(part) if i in ready]
