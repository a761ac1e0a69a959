"""`ovsam encode`: photographs encoded before anybody clicks on them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ovsam_plugin.cli.failure import one_message, usage
from ovsam_plugin.cli.options import Debug, Json
from ovsam_plugin.cli.outputs import console, print_json

_SHOWN = 5


def encode(
    dataset: Annotated[str, typer.Argument(help="A dataset's name.", show_default=False)],
    preset: Annotated[str, typer.Option(help="The model.")] = "ovsam-lite",
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A .safetensors file in place of the model's own."),
    ] = None,
    most_gigabytes: Annotated[
        float,
        typer.Option(
            min=0.001,
            metavar="GB",
            help="Disk space for all encodings; the least recently used are removed to make room.",
        ),
    ] = 20,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Encode photographs in advance, so that the first click on each is answered at once."""
    with one_message(
        debug, "stopped; what was encoded is kept, and the same command continues from there"
    ):
        from functools import partial

        from rich.progress import track

        from ovsam_plugin.cli.datasets import load_images
        from ovsam_plugin.curation.encoding import encode_dataset

        said = console(as_json)
        with usage():
            made = encode_dataset(
                load_images(dataset),
                preset=preset,
                weights=weights,
                device=device,
                most_bytes=int(most_gigabytes * 1e9),
                progress=partial(track, description="photographs", console=said),
            )
        if as_json:
            print_json(made)
        said.print(
            f"{made.encoded:,} photographs encoded, {made.kept:,} already were; "
            f"{made.bytes / 1e9:.2f} GB on disk"
        )
        if made.left:
            said.print(
                f"{made.left:,} did not fit into {most_gigabytes:g} GB: allow more with "
                "--most-gigabytes"
            )
        for path, reason in list(made.failed.items())[:_SHOWN]:
            said.print(f"not encoded: {path}: {reason}", markup=False)
        if len(made.failed) > _SHOWN:
            said.print(f"and {len(made.failed) - _SHOWN:,} more")
        if made.failed and not (made.encoded or made.kept):
            raise typer.Exit(1)
