"""`ovsam calibrate`: named boxes in, confidences that mean what they say out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ovsam_plugin.cli.failure import CommandError, UsageError, one_message, usage
from ovsam_plugin.cli.options import Debug, Json
from ovsam_plugin.cli.outputs import check_file, console, print_json
from ovsam_plugin.counting import counted


def calibrate(
    images: Annotated[
        Path, typer.Argument(metavar="IMAGES_DIR", help="A folder of images.", show_default=False)
    ],
    annotations: Annotated[
        Path,
        typer.Option(
            metavar="GT.json",
            help="Named boxes of these images: a COCO or LVIS annotation file. A few hundred "
            "instances are enough; the model should not have been trained on them.",
            show_default=False,
        ),
    ],
    crowds: Annotated[
        bool,
        typer.Option(
            "--crowds",
            help="Treat annotations marked as crowds as instances: some tools mark what was drawn "
            "with a brush that way.",
        ),
    ] = False,
    out: Annotated[Path, typer.Option(metavar="FILE.json", help="The file to write.")] = Path(
        "calibration.json"
    ),
    preset: Annotated[str, typer.Option(help="The model.")] = "ovsam-lite",
    vocabulary: Annotated[
        str, typer.Option(help="As for ovsam label; the calibration is for this vocabulary only.")
    ] = "lvis",
    weights: Annotated[
        Path | None,
        typer.Option(help="A .safetensors file in place of the model's own.", show_default=False),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Fit a temperature and thresholds to labelled images, for ovsam label --calibration."""
    with one_message(debug):
        from rich.markup import escape
        from rich.progress import track

        if not images.is_dir():
            raise UsageError(f"there is no folder {images}")
        if not annotations.is_file():
            raise UsageError(f"there is no annotation file {annotations}")
        with usage():
            from ovsam_plugin.prediction.labeler import load_labeler
            from ovsam_plugin.training.calibrating import calibrate
            from ovsam_plugin.training.examples import CocoPhotographs

            check_file("--out", out, "calibration.json", (annotations, weights))
            photographs = CocoPhotographs(images, annotations, crowds=crowds)
            labeler = load_labeler(preset, vocabulary=vocabulary, device=device, weights=weights)
            said = console(as_json)
            try:
                made = calibrate(labeler, track(photographs, "photographs", console=said))
            except ValueError as error:
                raise CommandError("; ".join([str(error), *photographs.problems[:3]])) from error
        made.save(out)
        if photographs.problems:
            first = escape(photographs.problems[0])
            said.print(f"{len(photographs.problems):,} left out, such as {first}")
        facts = made.provenance
        if as_json:
            print_json({**facts, "temperature": made.temperature, "file": out})
        said.print(
            f"{counted(facts['instances'], 'instance')}: temperature {made.temperature:.3g}, "
            f"log loss {facts['log_loss_before']:.3f} -> {facts['log_loss']:.3f}; thresholds of "
            f"{len(made.thresholds):,} of {len(labeler.recognizer.vocabulary):,} classes, "
            f"{made.threshold:.3f} for the others"
        )
        said.print(f"use it: ovsam label ... --calibration [bold]{escape(str(out))}[/bold]")
