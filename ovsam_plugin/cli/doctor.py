"""`ovsam doctor`: what is wrong with this machine, and how it is mended."""

from __future__ import annotations

import typer

from ovsam_plugin.cli.failure import FAILURE, one_message
from ovsam_plugin.cli.options import Debug, Json
from ovsam_plugin.cli.outputs import console, print_json

_COLOURS = {"good": "green", "doubtful": "yellow", "bad": "red"}


def doctor(
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Check Python, torch, the database, weights, the App's plugin and delegated runs.

    The exit code is 1 if something that labelling needs is wrong.
    """
    with one_message(debug):
        from rich.table import Table

        from ovsam_plugin.health import examine

        findings = list(examine(debug=debug))
        if as_json:
            print_json(findings)
        else:
            table = Table("", "", "found", "what to do", box=None)
            for f in findings:
                colour = _COLOURS[f.state]
                table.add_row(f"[{colour}]{f.state}[/]", f.subject, _plain(f.found), _plain(f.mend))
            console(table=True).print(table)
        if any(finding.state == "bad" for finding in findings):
            raise typer.Exit(FAILURE)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
