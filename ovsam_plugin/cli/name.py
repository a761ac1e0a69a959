"""`ovsam name`: names for masks and boxes that came from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ovsam_plugin.cli.failure import CommandError, one_message, usage
from ovsam_plugin.cli.options import Debug, Json, OverwriteAll
from ovsam_plugin.cli.outputs import console, print_json

if TYPE_CHECKING:
    from rich.console import Console

_SHOWN = 5


def name(
    target: Annotated[
        str,
        typer.Argument(
            metavar="DATASET_or_IMAGES_DIR",
            help="A dataset's name; with --predictions also a folder of images.",
            show_default=False,
        ),
    ],
    field: Annotated[
        str,
        typer.Option(
            help="The field of the instances: Detections or Polylines. --predictions go there."
        ),
    ] = "predictions",
    predictions: Annotated[
        Path | None,
        typer.Option(
            metavar="preds.json",
            help="A COCO or LVIS results or annotation file with the instances.",
        ),
    ] = None,
    annotations: Annotated[
        Path | None,
        typer.Option(
            metavar="GT.json",
            help="The annotation file that says which photographs the image_ids of --predictions "
            "are, if that has no file names.",
        ),
    ] = None,
    namer: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="The namer: openclip:MODEL/WEIGHTS, any open_clip model, or a preset; if not "
            "given, the preset that draws masks for boxes.",
        ),
    ] = None,
    cuts: Annotated[
        str | None,
        typer.Option(
            metavar="MARGIN:BACKGROUND,...",
            help="How an open_clip model is shown an instance; several are averaged. 0.1:0.5,0.4:1 "
            "if not given.",
        ),
    ] = None,
    preset: Annotated[
        str, typer.Option(help="The model that draws masks for boxes without one.")
    ] = "ovsam-lite",
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A .safetensors file in place of the preset's own."),
    ] = None,
    vocabulary: Annotated[str, typer.Option(help="As for ovsam label.")] = "lvis",
    example: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=IMAGE:x1,y1,x2,y2",
            help="An example of a class: a box of an image file, or NAME=ID with the id of a "
            "label; may be repeated.",
        ),
    ] = None,
    into: Annotated[
        str | None, typer.Option(metavar="F", help="The new field; FIELD_named if not given.")
    ] = None,
    fill: Annotated[
        bool,
        typer.Option(
            "--fill", help="Also name the instances of the field itself that have no name."
        ),
    ] = False,
    min_confidence: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Leave out labels below this.", show_default=False),
    ] = None,
    adapter: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What ovsam learn wrote.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Images per pass of the namer.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=0, help="Processes that load images.")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Name again what already has names.")
    ] = False,
    overwrite_all: OverwriteAll = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Name masks and boxes that a person or another model made; run it again to name new ones.

    Names, scores and embeddings go to a field of their own, which can be searched, relabelled,
    reviewed and evaluated like any run.
    """
    with one_message(debug), usage():
        from ovsam_plugin.cli.datasets import load_images, opened
        from ovsam_plugin.curation.naming import name_instances
        from ovsam_plugin.dataset.imported_labels import import_labels
        from ovsam_plugin.vocabulary.example import read_examples

        said = console(as_json)
        if predictions is None:
            samples = load_images(target)
        else:
            dataset = opened(target)
            found = import_labels(dataset, predictions, label_field=field, annotations=annotations)
            samples = dataset.exists(field)
            said.print(
                f"{found.instances:,} instances of {predictions.name} on {found.samples:,} "
                f"photographs of dataset {dataset.name!r}, in field {field!r}"
            )
            problems = f"{len(found.problems):,} problems with instances of {predictions.name}"
            _tell(said, problems, found.problems)
        summary = name_instances(
            samples,
            pred_field=field,
            label_field=into,
            fill=fill,
            namer=namer,
            cuts=cuts,
            preset=preset,
            weights=weights,
            vocabulary=vocabulary,
            examples=read_examples(example or ()),
            min_confidence=min_confidence,
            adapter=adapter,
            device=device,
            batch_size=batch_size,
            workers=workers,
            overwrite="all" if overwrite_all else overwrite,
            progress=said.is_terminal,
        )
        labels = summary.labels
        kept = f" ({labels.kept:,} images named before)" if labels.kept else ""
        if as_json:
            print_json(summary)
        said.print(
            f"{labels.instances:,} instances named on {labels.labelled:,} images in field "
            f"{labels.field!r} in {labels.seconds:.1f} s{kept}"
        )
        if summary.filled:
            said.print(f"{summary.filled:,} instances of {field!r} have a name now")
        why = f"something failed on {labels.failed:,} images: see {labels.field}_error"
        _tell(said, why, labels.reasons)
        if labels.failed and labels.failed == labels.samples and not labels.instances:
            raise CommandError("nothing could be named; the reasons are above")


def _tell(said: Console, message: str, details: tuple[str, ...]) -> None:
    if not details:
        return
    said.print(f"[yellow]warning:[/yellow] {message}")
    for detail in details[:_SHOWN]:
        said.print(f"  {detail}", markup=False)
    if len(details) > _SHOWN:
        said.print("  ...")
