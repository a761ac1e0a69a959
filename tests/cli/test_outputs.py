"""What commands give to scripts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from ovsam_plugin.cli.app import app
from ovsam_plugin.cli.outputs import print_json

# They print no table and no figures, or write them where they are told to.
WITHOUT = {"train", "zoo", "app install", "app open", "weights fetch", "weights verify",
           "weights path", "weights convert", "weights remove", "evaluate"}  # fmt: skip


def commands(group: Any, above: str = "") -> dict[str, Any]:
    """All commands by what a person types."""
    found: dict[str, Any] = {}
    for name, command in group.commands.items():
        name = f"{above} {name}".strip()
        found |= commands(command, name) if hasattr(command, "commands") else {name: command}
    return found


def asked(*arguments: str) -> Any:
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_every_command_with_figures_gives_them_as_json() -> None:
    found = commands(typer.main.get_command(app))
    assert found.keys() >= WITHOUT
    for name in found.keys() - WITHOUT:
        options = {option for each in found[name].params for option in each.opts}
        assert "--json" in options, name


def test_a_preset_is_counted_for_scripts() -> None:
    told = asked("info", "ovsam-lite")
    assert told["total"]["parameters"] == sum(part["parameters"] for part in told["parts"]) > 1e7


def test_weights_that_are_not_here_have_no_size() -> None:
    told = asked("weights", "list")
    assert {Path(each["file"]).suffix for each in told} == {".safetensors"}
    assert all(each["bytes"] is None for each in told)


def test_labels_and_what_is_made_of_them(named: fo.Dataset) -> None:
    (best, _) = asked("search", named.name, "a cat", "-k", "2")
    assert best["filepath"].endswith("chelsea.png")
    assert -1 <= best["score"] <= 1
    assert len(best["id"]) == 24
    told = asked("score", named.name, "--device", "cpu")
    assert told["instances"] == 9
    names = ("--vocabulary", "tabby cat, coffee", "--into", "again", "--device", "cpu")
    told = asked("relabel", named.name, *names)
    assert (told["field"], told["instances"]) == ("again", 9)


def test_an_error_is_no_json(named: fo.Dataset) -> None:
    done = CliRunner().invoke(app, ["search", named.name + "x", "a cat", "--json"])
    assert (done.exit_code, done.stdout) == (2, "")


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
