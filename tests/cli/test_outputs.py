"""What commands give to scripts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ovsam_plugin.cli.outputs import print_json
from ovsam_plugin.cli.ovsam import app


def test_an_error_is_no_json() -> None:
    done = CliRunner().invoke(app, ["search", "no-such-dataset", "a cat", "--json"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "there is no dataset 'no-such-dataset'" in done.stderr


@dataclass
class Summary:
    """Of everything that a summary may hold."""

    seconds: float
    when: datetime
    where: Path
    names: tuple[str, ...]
    _hidden: int = 1


def test_what_json_has_not_is_null_or_text(capsys: pytest.CaptureFixture[str]) -> None:
    when = datetime(2026, 1, 2, tzinfo=timezone.utc)
    print_json([Summary(float("nan"), when, Path("a"), ("naïve",)), {1: np.float32(0.5)}])
    assert json.loads(capsys.readouterr().out) == [
        {"seconds": None, "when": when.isoformat(), "where": "a", "names": ["naïve"]},
        {"1": 0.5},
    ]
