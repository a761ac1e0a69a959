"""Importing the library changes nothing; loading the App's plugin does, and says what."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent

_TOLD = """
import json, os, sys

def told():
    import fiftyone as fo
    import fiftyone.brain as fob
    from fiftyone.brain.internal.core.sklearn import SklearnSimilarityIndex
    configs = (fo.config, fo.app_config, fo.annotation_config, fo.evaluation_config,
               fob.brain_config)
    return [
        dict(os.environ), list(sys.path), [each.serialize() for each in configs],
        SklearnSimilarityIndex._from_dict.__func__.__qualname__,
    ]
"""
_PACKAGE = """
import os, sys
before = dict(os.environ), list(sys.path), set(sys.modules)
import ovsam_plugin
assert (dict(os.environ), list(sys.path)) == before[:2]
brought = {name.partition(".")[0] for name in set(sys.modules) - before[2]}
print(sorted(brought - set(sys.stdlib_module_names)))
"""
_MODULES = """
import open_clip, torchvision.ops  # they and torch change the environment, as FiftyOne does
from importlib import import_module
from pkgutil import walk_packages

before = told()
import ovsam_plugin
for module in walk_packages(ovsam_plugin.__path__, "ovsam_plugin."):
    if not module.name.endswith("__main__"):
        import_module(module.name)
print(json.dumps([before, told()]))
"""
_PLUGIN = """
before = told()
assert "torch" not in sys.modules
from fiftyone.operators.registry import OperatorRegistry
assert OperatorRegistry().list_errors() == []
assert "torch" not in sys.modules
print(json.dumps([before, told()]))
"""


def run(program: str) -> str:
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_the_package_brings_nothing_and_changes_nothing() -> None:
    assert run(_PACKAGE) == "['ovsam_plugin']"


def test_no_module_of_the_library_changes_its_process() -> None:
    before, after = json.loads(run(_TOLD + _MODULES))
    assert after == before


def test_the_plugin_prepares_its_process(monkeypatch: Any) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    before, after = json.loads(run(_TOLD + _PLUGIN))
    assert dict(after[0].items() - before[0].items()) == {"OMP_WAIT_POLICY": "PASSIVE"}
    assert after[1] == before[1]  # the package is installed
    methods = [told[2][3]["detection_backends"] for told in (before, after)]
    assert methods[1].keys() - methods[0].keys() == {"ovsam"}
    assert "answer_searches" in after[3]
    assert "answer_searches" not in before[3]
