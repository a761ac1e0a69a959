"""A process for each of several accelerators: `python -m ovsam_plugin.engines.devices`.

A process of its own and not a thread, so that no device waits for another's Python; started anew
and not forked, so that it owes nothing to the program that called.
"""

from __future__ import annotations

import json
import logging
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from queue import Queue
from typing import Any

import fiftyone.core.utils as fou
import torch

from ovsam_plugin.dataset.label_tally import LabelTally
from ovsam_plugin.dataset.share import Share
from ovsam_plugin.engines.database_address import database_address
from ovsam_plugin.hardware.allocation import keep_freed_memory
from ovsam_plugin.hardware.device import pick_device
from ovsam_plugin.hardware.orphan import end_with_parent

logger = logging.getLogger(__name__)

# Seconds between two reports of a process, each of what it has done since the last.
_EVERY = 1.0


def devices_named(named: str | Sequence[str]) -> list[str]:
    """The devices that a user means.

    Args:
        named: "all" accelerators, "cuda:0,cuda:2", a list of them; one may be named twice, for two
            processes on it.

    Raises:
        ValueError: none is named, or one cannot be used.
    """
    if isinstance(named, str):
        if named.strip() == "all":
            count = torch.cuda.device_count()
            return [f"cuda:{i}" for i in range(count)] or [str(pick_device("auto"))]
        named = [part.strip() for part in named.split(",") if part.strip()]
    if not named:
        raise ValueError('devices names none: give "all", or some such as "cuda:0,cuda:1"')
    return [str(pick_device(name)) for name in named]


class DeviceEngine:
    """A process for each device; each labels a part of the samples, then what others have left.

    Args:
        devices: from `devices_named`.
    """

    def __init__(self, devices: Sequence[str]) -> None:
        self.devices = list(devices)
        self._processes: list[subprocess.Popen[bytes]] = []

    @contextmanager
    def started(self, samples: int) -> Iterator[None]:
        """See `LabelingEngine.started`."""
        threads = max(1, fou.get_cpu_count() // len(self.devices))
        root = str(Path(__file__).resolve().parents[2])
        environment = {
            "OMP_NUM_THREADS": str(threads),
            **os.environ,
            "FIFTYONE_DATABASE_URI": database_address(),
            "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")])),
        }
        try:
            for _ in self.devices[:samples]:
                process = subprocess.Popen(
                    [sys.executable, "-m", __name__],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env=environment,
                )
                self._processes.append(process)
            yield
        finally:
            for process in self._processes:
                if process.poll() is None:
                    process.terminate()
                process.wait()
                assert process.stdin is not None
                with suppress(BrokenPipeError):
                    process.stdin.close()
            self._processes.clear()

    def run(self, share: Share, ids: Sequence[str], count: Callable[[int], None]) -> LabelTally:
        """See `LabelingEngine.run`."""
        words: Queue[tuple[int, LabelTally | None]] = Queue()
        processes = self._processes[: len(ids)]
        for number, process in enumerate(processes):
            part, device = list(ids[number :: len(processes)]), self.devices[number]
            work = pickle.dumps((share, part, list(ids), device, len(processes)))
            told = (number, process, work, words)
            threading.Thread(target=_talk, args=told, daemon=True).start()
        return self._gather(processes, words, count)

    def _gather(
        self,
        processes: Sequence[subprocess.Popen[bytes]],
        words: Queue[tuple[int, LabelTally | None]],
        count: Callable[[int], None],
    ) -> LabelTally:
        whole = LabelTally()
        ended = failed = 0
        while ended < len(processes):
            number, word = words.get()
            if word is not None:
                count(word.labelled)
                whole.add(word)
                continue
            ended += 1
            if code := processes[number].wait():
                failed += 1
                logger.warning(
                    "the process on %s ended with %d: others finish its work",
                    self.devices[number],
                    code,
                )
        if processes and failed == len(processes):
            raise RuntimeError(
                "every process that was to label ended with an error; the reasons are above"
            )
        return whole


def _talk(number: int, process: subprocess.Popen[bytes], work: bytes, words: Queue[Any]) -> None:
    """Gives a process its work, which it reads once torch is loaded, and listens to it."""
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(BrokenPipeError), process.stdin as given:  # it died before; its code says so
        given.write(work)
    for line in process.stdout:
        if line.startswith(b'{"labelled"'):  # others may print too
            words.put((number, LabelTally(**json.loads(line))))
    words.put((number, None))


def main() -> None:
    """One process: a share, its samples and a device on the standard input."""
    end_with_parent()  # who killed a run does not want its parts labelled on
    keep_freed_memory()
    share, part, ids, device, together = pickle.load(sys.stdin.buffer)
    tally, told, done = LabelTally(), LabelTally(), threading.Event()

    def tell() -> None:
        fresh = tally.since(told)
        told.add(fresh)
        sys.stdout.write(json.dumps(asdict(fresh)) + "\n")
        sys.stdout.flush()

    def go_on() -> None:
        while not done.wait(_EVERY):
            tell()

    teller = threading.Thread(target=go_on, daemon=True)
    teller.start()
    share.label(part, device, helping=ids, together=together, tally=tally)
    done.set()
    teller.join()
    tell()


if __name__ == "__main__":
    main()
