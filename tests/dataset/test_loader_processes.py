"""Processes that load photographs."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ovsam_plugin import label_dataset, stages
from ovsam_plugin.dataset import batch_line, loading
from ovsam_plugin.dataset.loader_processes import LoaderDiedError, LoaderProcesses, is_death

from .conftest import SMALL


def in_main_thread(work: Callable[[], Any]) -> Any:
    return work()


def on_a_thread(work: Callable[[], Any]) -> Any:
    """As in the App's server, where torch is not told of processes that end."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


@pytest.mark.parametrize("call", [in_main_thread, on_a_thread])
@pytest.mark.parametrize("times", [1, 9])
def test_a_process_that_loads_and_dies_is_followed_by_another_within_bounds(
    boxed: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    times: int,
    call: Callable[[Callable[[], Any]], Any],
) -> None:
    read = loading.read_picture

    def dying(path: str, *rest: Any) -> Any:
        if path == last and len(list(tmp_path.glob("died*"))) < times:
            (tmp_path / f"died{os.getpid()}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return read(path, *rest)

    last = boxed.last().filepath
    monkeypatch.setattr(stages, "_SOURCE_PATIENCE", 0.5)
    monkeypatch.setattr(batch_line, "_DEATHS", 1)
    monkeypatch.setattr(loading, "read_picture", dying)
    settings = {**SMALL, "workers": 1}
    if times == 1:
        assert call(lambda: label_dataset(boxed, **settings)).instances == len(boxed)
    else:
        with pytest.raises(RuntimeError, match="died 2 times.*workers=1"):
            call(lambda: label_dataset(boxed, **settings))
        monkeypatch.setattr(loading, "read_picture", read)
        call(lambda: label_dataset(boxed, **settings))
    labels = boxed.values("ovsam.detections")
    assert [len(found) for found in labels] == [1] * len(boxed)


def wait_for(seconds: float) -> None:
    time.sleep(seconds)


class Started:
    """Starts a process of its own as it is iterated over, as torch's loader does."""

    def __iter__(self) -> Iterator[int]:
        self.process = multiprocessing.get_context("fork").Process(target=wait_for, args=(60,))
        self.process.start()
        return iter([1])


@pytest.mark.parametrize(
    ("number", "dies"), [(signal.SIGKILL, True), (signal.SIGTERM, False), (None, False)]
)
def test_a_process_that_was_killed_is_told_and_one_that_was_ended_is_not(
    number: int | None, dies: bool
) -> None:
    started = Started()
    processes = LoaderProcesses(started)
    try:
        processes.check()
        if number is not None:
            os.kill(started.process.pid, number)
            started.process.join()
        if dies:
            with pytest.raises(LoaderDiedError, match=f"was killed by signal {int(number or 0)}"):
                processes.check()
        else:
            processes.check()
        assert list(processes.loaded) == [1]
    finally:
        started.process.kill()
        started.process.join()


def test_processes_of_others_are_not_watched() -> None:
    other = multiprocessing.get_context("fork").Process(target=wait_for, args=(60,))
    other.start()
    processes = LoaderProcesses([1])
    other.kill()
    other.join()
    processes.check()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (LoaderDiedError("process 1 was killed by signal 9"), True),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."), True),
        (RuntimeError("CUDA error"), False),
    ],
)
def test_a_death_is_known_as_torch_tells_it_too(error: RuntimeError, told: bool) -> None:
    assert is_death(error) is told
