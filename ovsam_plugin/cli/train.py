"""`ovsam train RECIPE CONFIG.toml`: the paper's training, and that of `ovsam-lite`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ovsam_plugin.cli.failure import CommandError, UsageError, one_message, usage
from ovsam_plugin.cli.options import Debug, Json
from ovsam_plugin.cli.outputs import console, print_json


def train(
    recipe: Annotated[str, typer.Argument(help="sam2clip, clip2sam, lite or coop.")],
    config: Annotated[Path, typer.Argument(help="A TOML file; examples are in recipes/.")],
    restart: Annotated[
        bool, typer.Option("--restart", help="Forget the run's checkpoint and start again.")
    ] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Train on your own data; a stopped run goes on from its last checkpoint.

    On several devices or machines: `accelerate launch -m ovsam_plugin.cli train RECIPE CONFIG`.
    """
    with one_message(debug, "stopped; the same command continues from the last checkpoint"):
        try:
            from ovsam_plugin.training.config import read_config
        except ImportError as error:
            raise CommandError(
                f"training needs {error.name}: pip install 'fiftyone-ovsam[train]'"
            ) from error
        try:
            with usage():
                chosen = read_config(recipe, config)
        except FileNotFoundError as error:
            raise UsageError(str(error)) from error
        said = console(as_json, table=True)
        if chosen.checkpoint.exists() and not restart:
            said.print(f"continuing from {chosen.checkpoint} (--restart starts again)")
        made = chosen.execute(said, restart=restart)
        if as_json and made is not None:
            print_json({"recipe": recipe, "out": chosen.out, **asdict(made)})
        said.print(f"what was trained is in {chosen.out}")
