"""Two threads of the App that import at once do not stop each other."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# What the review's thread imports, and what the panel Segment asks for meanwhile: each waits at the
# place where the other one is needed.
_AT_ONCE = """
import threading
from concurrent.futures import ThreadPoolExecutor

import operators.panels.segment
from ovsam_plugin.import_lock import IMPORTS

together = threading.Barrier(2)

def of_review():
    together.wait()
    with IMPORTS:
        from ovsam_plugin.dataset import embedding_index

def of_segment():
    together.wait()
    try:
        operators.panels.segment.SegmentOpen().answer(type("Ctx", (), {"view": None}), {})
    except AttributeError:
        pass  # there is no view

with ThreadPoolExecutor(2) as pool:
    for done in [pool.submit(of_review), pool.submit(of_segment)]:
        done.result()
"""


def test_two_threads_that_import_at_once_wait_for_each_other() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _AT_ONCE], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stderr


def test_an_operator_imports_what_it_runs_under_the_lock() -> None:
    bare = []
    for path in sorted((ROOT / "operators").glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        locked = {
            id(line)
            for held in ast.walk(tree)
            if isinstance(held, ast.With) and ast.unparse(held.items[0]) == "IMPORTS"
            for line in held.body
        }
        bare += [
            f"{path.name}:{line.lineno}"
            for made in ast.walk(tree)
            if isinstance(made, ast.FunctionDef)
            for line in ast.walk(made)
            if isinstance(line, ast.ImportFrom)
            and (line.module or "").startswith("ovsam_plugin")
            and id(line) not in locked
        ]
    assert not bare
