"""The model of 304 M parameters is loaded faster than its bytes are read, and never twice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch

from benchmarks import published
from ovsam_plugin.checkpoints.assemble import layout
from ovsam_plugin.checkpoints.store import write_model
from ovsam_plugin.presets import get_preset

ROOT = Path(__file__).resolve().parents[2]


def test_the_published_model_is_loaded_within_its_limits(tmp_path: Path) -> None:
    """At most 1.5 times the time of reading the file, and 1.5 times its size in memory."""
    assert published.LIMIT == 1.5
    path = tmp_path / "zeros.safetensors"
    shapes = layout(get_preset(published.NAME).network)
    state = {key: torch.zeros(value.shape, dtype=value.dtype) for key, value in shapes.items()}
    write_model(state, path, published.NAME, {})
    del state
    command = [sys.executable, ROOT / "benchmarks" / "published.py", tmp_path, "--load", path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    path.unlink()
    assert done.returncode == 0, done.stdout + done.stderr
