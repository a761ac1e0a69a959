"""`ovsam relabel`: other names for a run's instances."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ovsam_plugin.cli.failure import one_message, usage
from ovsam_plugin.cli.options import Debug, Json, OverwriteAll, OverwriteNew
from ovsam_plugin.cli.outputs import console, print_json


def relabel(
    dataset: Annotated[str, typer.Argument(help="A dataset's name.", show_default=False)],
    vocabulary: Annotated[
        str, typer.Option(help="As for ovsam label.", show_default=False, metavar="V")
    ],
    field: Annotated[str, typer.Option(help="The field of a labelling run.")] = "ovsam",
    example: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=IMAGE:x1,y1,x2,y2",
            help="An example of a class: a box of an image file, or NAME=ID with the id of a "
            "label; may be repeated.",
        ),
    ] = None,
    into: Annotated[
        str | None, typer.Option(metavar="F", help="The new field; FIELD_VOCABULARY if not given.")
    ] = None,
    min_confidence: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Leave out labels below this.", show_default=False),
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="What ovsam calibrate wrote.")
    ] = None,
    adapter: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What ovsam learn wrote.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    overwrite: OverwriteNew = False,
    overwrite_all: OverwriteAll = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Name the same instances over another vocabulary. No image is looked at again."""
    with one_message(debug), usage():
        from ovsam_plugin.cli.datasets import load_images
        from ovsam_plugin.curation.relabeling import relabel_dataset
        from ovsam_plugin.vocabulary.example import read_examples

        summary = relabel_dataset(
            load_images(dataset),
            vocabulary=vocabulary,
            examples=read_examples(example or ()),
            pred_field=field,
            label_field=into,
            min_confidence=min_confidence,
            calibration=calibration,
            adapter=adapter,
            device=device,
            overwrite="all" if overwrite_all else overwrite,
        )
        if as_json:
            print_json(summary)
        said = console(as_json)
        said.print(
            f"{summary.instances:,} instances named in field {summary.field!r} in "
            f"{summary.seconds:.1f} s: {summary.changed:,} have a different name than in "
            f"{summary.source!r}"
        )
        for count, why in (
            (summary.decided, "kept the name that a person decided"),
            (summary.edited, "keep their names: their box or mask was changed by hand"),
            (summary.others, "stay as they are: no run made them, or they are empty"),
            (summary.left_out, "were left out: below the minimum confidence"),
        ):
            if count:
                said.print(f"{count:,} {why}")
