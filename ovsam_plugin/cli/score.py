"""`ovsam score`: which of a run's names to trust."""

from __future__ import annotations

from typing import Annotated

import typer

from ovsam_plugin.cli.failure import one_message, usage
from ovsam_plugin.cli.options import Debug, Json
from ovsam_plugin.cli.outputs import console, print_json


def score(
    dataset: Annotated[str, typer.Argument(help="A dataset's name.", show_default=False)],
    field: Annotated[str, typer.Option(help="The field of a labelling run.")] = "ovsam",
    share: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Share of the instances that counts as unknown.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Fill in doubt, outlier, unknown and its groups: what to review first."""
    with one_message(debug), usage():
        from ovsam_plugin.cli.datasets import load_images
        from ovsam_plugin.curation.scores import score_run

        summary = score_run(load_images(dataset), pred_field=field, share=share, device=device)
        if as_json:
            print_json(summary)
        console(as_json).print(
            f"{summary.instances:,} instances scored in {summary.seconds:.1f} s: "
            f"{summary.unknown:,} unknown, in {summary.groups:,} groups of two or more"
        )
