"""A command as a user calls it, and as a script does."""

from __future__ import annotations

import json
from typing import Any

import typer
from typer.testing import CliRunner

from ovsam_plugin.cli.ovsam import app


def run(*arguments: object, code: int = 0, answer: str | None = None) -> str:
    """What a command says in all.

    Args:
        *arguments: after `ovsam`.
        code: the exit code that is expected.
        answer: to what it asks.
    """
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, [*map(str, arguments)], input=answer)
    assert done.exit_code == code, done.output
    assert "Traceback" not in done.output
    return done.output


def told(*arguments: object, code: int = 0) -> Any:
    """What a command with `--json` prints on the standard output, where nothing else may be."""
    done = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


def commands(group: Any, above: str = "") -> dict[str, Any]:
    """All commands by what a person types."""
    found: dict[str, Any] = {}
    for name, command in group.commands.items():
        name = f"{above} {name}".strip()
        found |= commands(command, name) if hasattr(command, "commands") else {name: command}
    return found


COMMANDS = commands(typer.main.get_command(app))
