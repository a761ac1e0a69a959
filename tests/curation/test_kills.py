"""A few of the kills of `benchmarks/kills.py`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

KILLS = Path(__file__).resolve().parents[2] / "benchmarks" / "kills.py"
OPERATIONS = ("label", "relabel", "first_relabel", "score", "name_instances", "remove_run")


def test_kills_lose_nothing_and_the_same_call_finishes() -> None:
    done = subprocess.run(
        [sys.executable, KILLS, "--rounds", "2", "--seed", "1"],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for operation in OPERATIONS:
        assert f"{operation}: 2 kills" in done.stdout
    assert done.stdout.count(": 0 losses") == len(OPERATIONS)
