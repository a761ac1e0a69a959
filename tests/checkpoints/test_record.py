"""Small files that many threads write at once."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ovsam_plugin.checkpoints.record import remember

THREADS, TIMES = 16, 20


def at_once(work: Callable[[int], object]) -> None:
    """Every thread does its work, none before all are there; what one raises is raised."""
    start = threading.Barrier(THREADS)

    def run(number: int) -> None:
        start.wait(timeout=30)
        work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(run, range(THREADS)))


def test_what_many_threads_have_first_seen_is_remembered(tmp_path: Path) -> None:
    at_once(lambda number: remember(tmp_path, f"{number}.pt", f"{number:064x}", "somewhere"))
    assert set(json.loads((tmp_path / "seen.json").read_text())) == {
        f"{number}.pt" for number in range(THREADS)
    }
