"""`ovsam app`: FiftyOne's App with the plugin in it."""

from __future__ import annotations

import sys
from contextlib import nullcontext, redirect_stdout
from typing import Annotated

import typer

from ovsam_plugin.cli.failure import one_message, usage
from ovsam_plugin.cli.options import Debug, Json
from ovsam_plugin.cli.outputs import console, print_json

app_commands = typer.Typer(
    help="Open FiftyOne's App with this plugin, or put the plugin where FiftyOne finds it.",
    no_args_is_help=True,
)


@app_commands.command("open")
def open_(
    dataset: Annotated[
        str | None, typer.Argument(help="A dataset's name; if not given, the App opens its list.")
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the App's page.")] = 5151,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Open the App and keep it open until Ctrl-C."""
    with one_message(debug, "the App is closed"):
        with usage():
            from ovsam_plugin.cli.datasets import load_dataset
            from ovsam_plugin.dataset.database import require_database

            require_database()
            chosen = load_dataset(dataset) if dataset else None
        from ovsam_plugin.app.plugin_folder import open_app

        address = f"http://localhost:{port}" + (f"/datasets/{dataset}" if dataset else "")
        out = sys.stdout
        # FiftyOne prints while it waits for its server, also from threads.
        with redirect_stdout(sys.stderr) if as_json else nullcontext():
            session = open_app(chosen, port)
            if as_json:
                with redirect_stdout(out):
                    print_json({"address": address, "dataset": dataset})
            console(as_json).print(f"The App is at {address} (Ctrl-C closes it)")
            session.wait(-1)


@app_commands.command()
def install(as_json: Json = False, debug: Debug = False) -> None:
    """Put the plugin into FiftyOne's plugins folder, so that every App has it."""
    with one_message(debug), usage():
        from ovsam_plugin.app.plugin_folder import install as put

        folder = put()
        if as_json:
            print_json({"folder": folder})
        console(as_json).print(f"FiftyOne's App loads the plugin from {folder}")
