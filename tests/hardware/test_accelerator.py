"""An accelerator gives what a CPU gives: nothing is left behind on the wrong one of the two.

Tried on `stand_in`, as there may be none.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image


@pytest.fixture(scope="module")
def found(
    photographs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    """What a CPU and the stand-in answer and learn."""
    small = tmp_path_factory.mktemp("small") / "cat.png"
    Image.open(photographs["chelsea.png"]).resize((300, 200)).save(small)
    command = [sys.executable, "-m", "tests.hardware.on_stand_in"]
    paths = [str(small), str(tmp_path_factory.mktemp("learned"))]
    done = subprocess.run([*command, *paths], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    given: dict[str, dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return given


def test_it_answers_what_a_cpu_answers_whatever_is_asked(found: dict[str, Any]) -> None:
    here, there = (found[device]["answers"] for device in ("cpu", "standin"))
    for way, labels in here.items():
        assert labels[-1] == ["failed", 0]
        assert len(labels) > 1, way
        for label, same in zip(labels, there[way], strict=True):
            assert label[0] == same[0]
            assert same[1:] == pytest.approx(label[1:], rel=2e-3), way


def test_it_learns_what_a_cpu_learns(found: dict[str, Any]) -> None:
    here, there = (found[device]["learns"] for device in ("cpu", "standin"))
    for name, values in here.items():
        assert there[name] == pytest.approx(values, rel=1e-3, abs=1e-4, nan_ok=True), name
        assert values["gradient"] > 0


def test_the_stand_in_notices_what_lies_on_two_devices() -> None:
    script = """
from tests.hardware import stand_in  # first of all
import torch

there = torch.ones(3, device="standin")
assert (there + 1).sum().item() == 6
assert stand_in.waits == {"_local_scalar_dense.default": 1}
for wrong in (lambda: there + torch.ones(3), there.numpy):
    try:
        wrong()
    except RuntimeError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    two, unread = done.stdout.splitlines()
    assert "tensors on two devices; on the CPU: (3,)" in two
    assert "numpy() is not supported" in unread
