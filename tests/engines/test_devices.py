"""Processes that die, and what is known of them then."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from queue import Queue
from subprocess import PIPE, Popen
from types import SimpleNamespace
from typing import Any

import pytest

from ovsam_plugin.dataset.label_tally import LabelTally
from ovsam_plugin.engines.devices import DeviceEngine, _talk
from tests.hardware.ending import wait_for_end


def test_a_process_that_dies_before_it_reads_its_work_is_one_that_ended_with_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "false")
    many = [f"{number:024}" for number in range(20_000)]  # more than a pipe holds
    share: Any = SimpleNamespace()
    engine = DeviceEngine(["cpu", "cpu"])
    with (
        engine.started(len(many)),
        pytest.raises(RuntimeError, match="every process that was to label ended with an error"),
    ):
        engine.run(share, many, lambda _: None)


def said(number: int, words: Queue[Any], lines: Sequence[str], code: int) -> Popen[bytes]:
    """A process that says these lines and ends."""
    script = "import sys; sys.stdin.read(); [print(line) for line in sys.argv[2:]]; "
    script += "sys.exit(int(sys.argv[1]))"
    command = [sys.executable, "-c", script, str(code), *lines]
    process = Popen(command, stdin=PIPE, stdout=PIPE)
    _talk(number, process, b"work" * 50_000, words)
    return process


def test_what_a_process_had_told_before_it_died_is_counted_once() -> None:
    words: Queue[Any] = Queue()
    told = '{"labelled": %d, "instances": %d, "reasons": [%s], "failed_ids": [%s]}'
    failed = told % (2, 5, '"a.png: cut"', '"a"')
    dead = said(0, words, [failed, "a word of another", told % (1, 3, "", "")], 9)
    living = said(1, words, [told % (4, 9, '"b.png: cut"', '"b"')], 0)
    counts: list[int] = []
    whole = DeviceEngine(["cpu", "cpu"])._gather([dead, living], words, counts.append)
    assert whole == LabelTally(7, 17, ["a.png: cut", "b.png: cut"], ["a", "b"])
    assert counts == [2, 1, 4]


WAITING = """
import os, time
from pathlib import Path

class Waiting:
    def label(self, ids, device, **_):
        begun = Path(ids[0] + "-begun")
        begun.write_text(str(os.getpid()))
        begun.rename(ids[0])
        time.sleep(120)
"""
RUN = """
import sys
from waiting import Waiting
from ovsam_plugin.engines.devices import DeviceEngine

engine = DeviceEngine(["cpu"])
with engine.started(1):
    engine.run(Waiting(), [sys.argv[1]], print)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no process is killed so there")
def test_the_processes_of_a_killed_run_end_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "waiting.py").write_text(WAITING)
    told = tmp_path / "told"
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    run = Popen([sys.executable, "-c", RUN, str(told)])
    end = time.monotonic() + 120
    while run.poll() is None and not told.exists() and time.monotonic() < end:
        time.sleep(0.1)
    run.kill()
    run.wait()
    assert wait_for_end(int(told.read_text())), "it labels on"


def test_a_process_that_was_started_for_a_run_that_is_refused_ends() -> None:
    engine = DeviceEngine(["cpu", "cpu"])
    with suppress(ValueError), engine.started(1):
        (process,) = engine._processes  # one sample is one process's
        assert process.poll() is None
        raise ValueError("refused")
    assert process.poll() is not None
    assert engine._processes == []
