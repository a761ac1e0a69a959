"""The command's door: its options, its version, and how it says that something went wrong."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ovsam_plugin.cli.app import app_commands
from ovsam_plugin.cli.calibrate import calibrate
from ovsam_plugin.cli.doctor import doctor
from ovsam_plugin.cli.encode import encode
from ovsam_plugin.cli.evaluate import EvaluateCommand, evaluate
from ovsam_plugin.cli.info import info
from ovsam_plugin.cli.label import label
from ovsam_plugin.cli.learn import learn
from ovsam_plugin.cli.name import name
from ovsam_plugin.cli.relabel import relabel
from ovsam_plugin.cli.score import score
from ovsam_plugin.cli.search import search
from ovsam_plugin.cli.train import train
from ovsam_plugin.cli.weights import weights
from ovsam_plugin.cli.zoo import zoo
from ovsam_plugin.hardware.allocation import collect_seldom, keep_freed_memory

app = typer.Typer(
    name="ovsam",
    help="Find, outline and name the objects in photographs, with FiftyOne.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command()(label)
app.command()(name)
app.command()(encode)
app.command()(search)
app.command()(relabel)
app.command()(score)
app.command()(learn)
app.command()(train)
app.command()(calibrate)
app.command(cls=EvaluateCommand)(evaluate)
app.command()(info)
app.command()(zoo)
app.command()(doctor)
app.add_typer(app_commands, name="app")
app.add_typer(weights, name="weights")


def main() -> None:
    """Entry point of the `ovsam` command."""
    keep_freed_memory()
    collect_seldom()
    app(prog_name="ovsam")


def _print_version(wanted: bool) -> None:
    if not wanted:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        number = version("fiftyone-ovsam")
    except PackageNotFoundError:
        number = "(not installed)"
    sys.stdout.write(f"ovsam {number}\n")
    raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Find, outline and name the objects in photographs, with FiftyOne."""
