"""Who works on a dataset: calls in this process, in others and on other machines.

A worker says that it lives by a document that it changes every few seconds. What it holds, a lease
on a piece of work or the samples that it is labelling, names it; when it dies, killed even, others
take that over. No clocks are compared: a worker is dead once its document has stood still for a
minute of the watcher's own time, or at once where its process is of this machine and gone.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import uuid4

import fiftyone as fo
import psutil  # type: ignore[import-untyped]

from ovsam_plugin.dataset.database import MOST_AWAY, patiently
from ovsam_plugin.dataset.store import Store

logger = logging.getLogger(__name__)

FIELDS_AND_RUNS = "fields and runs"
"""The lease on a dataset's fields and runs while a call prepares its own."""

_BEAT = 5.0
_SILENCE = 60.0
_PAUSE = 0.2
# A wait that is worth a word.
_LONG = 30.0


class Worker:
    """One call at work; a context manager.

    Args:
        dataset: what it works on.
        field: the label field.

    Attributes:
        token: its name.
    """

    def __init__(self, dataset: fo.Dataset, field: str) -> None:
        self.token = uuid4().hex
        self._field = field
        self._labels = False
        self._store = Store(dataset, "ovsam_workers")
        self._done = threading.Event()
        self._heart = threading.Thread(target=self._beat, daemon=True)
        # By token, the last beat that was seen of others, and when.
        self._seen: dict[str, tuple[int, float]] = {}

    def __enter__(self) -> Worker:
        self._say(0)
        self._heart.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._heart.join()
        # After an error nothing is waited for: this worker is known to be dead soon anyway.
        most = MOST_AWAY if error is None else 0.0
        patiently(lambda: self._store.drop([_worker(self.token), _stop(self.token)]), most)

    def _beat(self) -> None:
        beat = 0
        while not self._done.wait(_BEAT):
            beat += 1
            try:
                self._say(beat)
            except Exception as error:  # the database may come back
                logger.warning("could not record that this call is still running: %s", error)

    def _say(self, beat: int) -> None:
        field = self._field if self._labels else None
        self._store.put(_worker(self.token), {**_process(), "field": field, "beat": beat})

    def begin(self) -> None:
        """Tells others that it labels the field from now on, by the settings of its run."""
        self._labels = True
        self._say(0)

    def others(self) -> int:
        """How many other living workers have begun to label the same field.

        One of another machine is watched until it says that it lives, or has been silent too long.
        """
        found = self._others()
        lively = [token for token in found if self._is_surely_alive(token)]
        if dead := [_worker(token) for token in found if token not in lively]:
            patiently(lambda: self._store.drop(dead))
        return len(lively)

    def _others(self) -> list[str]:
        keys = [key for key in self._store.keys() if key.startswith(_worker(""))]  # noqa: SIM118
        found = self._store.items(keys)
        same = [key.removeprefix(_worker("")) for key, v in found if v["field"] == self._field]
        return [token for token in same if token != self.token and self.is_alive(token)]

    def stop_others(self) -> int:
        """Asks them to stop once the photographs at hand are done; returns how many they are."""
        others = self._others()
        for token in others:
            self._store.put(_stop(token), True)
        return len(others)

    def should_stop(self) -> bool:
        """Whether somebody has asked this one to."""
        return self._store.get(_stop(self.token)) is not None

    def is_alive(self, token: str) -> bool:
        """Whether another worker is at work, as far as can be told."""
        if token == self.token:
            return True
        found = self._store.get(_worker(token))
        if found is None or _is_gone(found):
            return False
        now = time.monotonic()
        beat, since = self._seen.get(token, (-1, now))
        if beat != found["beat"]:
            self._seen[token] = (found["beat"], now)
            return True
        return now - since < _SILENCE

    def _is_surely_alive(self, token: str) -> bool:
        """As `is_alive`, of one that may have died with its machine before anybody watched it."""
        found = first = self._store.get(_worker(token))
        while found == first:
            if not self.is_alive(token):
                return False
            if found["machine"] == _machine():
                return True
            time.sleep(_PAUSE)
            found = self._store.get(_worker(token))
        return found is not None

    @contextmanager
    def lease(self, name: str) -> Iterator[None]:
        """Holds a piece of work that one worker at a time does; waits until it is free.

        Args:
            name: of the work.
        """
        key, waited = f"lease.{name}", 0.0
        while not patiently(lambda: self._take([key])):
            if waited <= _LONG < waited + _PAUSE:
                logger.warning("waiting for another call that is working on %s", name)
            time.sleep(_PAUSE)
            waited += _PAUSE
        try:
            yield
        except BaseException:
            self._store.drop([key], self.token)
            raise
        patiently(lambda: self._store.drop([key], self.token))

    def claim(self, sample_ids: Sequence[str]) -> list[str]:
        """Takes samples to label.

        Args:
            sample_ids: those wanted.

        Returns:
            those that no other living worker has, in the same order.
        """
        taken = self._take([self._claim(i) for i in sample_ids])
        return [i for i in sample_ids if self._claim(i) in taken]

    def holds(self, sample_ids: Sequence[str]) -> list[str]:
        """Which of some samples that it claimed are still its own, in the same order."""
        tokens = dict(self._store.items([self._claim(i) for i in sample_ids]))
        return [i for i in sample_ids if tokens.get(self._claim(i)) == self.token]

    def release(self, sample_ids: Sequence[str]) -> None:
        """Gives samples back that are labelled, or cannot be."""
        self._store.drop([self._claim(i) for i in sample_ids], self.token)

    def _claim(self, sample_id: str) -> str:
        return f"sample.{self._field}.{sample_id}"

    def _take(self, keys: list[str]) -> set[str]:
        taken = self._store.add(keys, self.token)
        held = dict(self._store.items([key for key in keys if key not in taken]))
        dead = {token for token in set(held.values()) if not self.is_alive(token)}
        for key, token in held.items():
            if token == self.token or (token in dead and self._store.swap(key, token, self.token)):
                taken.add(key)
        return taken


def _worker(token: str) -> str:
    return f"worker.{token}"


def _stop(token: str) -> str:
    return f"stop.{token}"


def _process() -> dict[str, Any]:
    me = psutil.Process()
    return {"machine": _machine(), "pid": me.pid, "started": _started(me)}


def _is_gone(found: dict[str, Any]) -> bool:
    """Whether the worker's process is known to have ended."""
    if found["machine"] != _machine():
        return False
    try:
        process = psutil.Process(found["pid"])
        ended = process.status() == psutil.STATUS_ZOMBIE
        return bool(ended or abs(_started(process) - found["started"]) > 1)
    except psutil.NoSuchProcess:
        return True


def _started(process: psutil.Process) -> float:
    """When a process started, by a clock that nobody sets where the system has one."""
    told = Path(f"/proc/{process.pid}/stat")
    if not told.exists():
        return float(process.create_time())
    try:
        # The 22nd value; the second, a name in brackets, may hold spaces.
        return float(told.read_text().rpartition(")")[2].split()[19])
    except FileNotFoundError as error:
        raise psutil.NoSuchProcess(process.pid) from error


def _machine() -> str:
    """This machine, or container, since it started: where a process's number means something."""
    space, boot = Path("/proc/self/ns/pid"), Path("/proc/sys/kernel/random/boot_id")
    started = boot.read_text().strip() if boot.exists() else ""
    return f"{socket.gethostname()} {space.readlink() if space.exists() else ''} {started}"
