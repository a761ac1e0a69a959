from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from accelerate.state import AcceleratorState

from ovsam_plugin.training.loop import run
from tests.training.line import SCHEDULE, Line, quiet


@pytest.fixture(autouse=True)
def _fresh_state() -> Iterator[None]:
    """accelerate remembers a process's precision, which a test may change."""
    yield
    AcceleratorState._reset_state()


@pytest.fixture
def whole(tmp_path: Path) -> tuple[Line, Path]:
    """A run that nothing stopped."""
    recipe = Line()
    run(recipe, tmp_path / "whole", SCHEDULE, quiet())
    return recipe, tmp_path / "whole"
