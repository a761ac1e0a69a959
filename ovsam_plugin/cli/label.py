"""`ovsam label`: a folder of images or a dataset in, labels and files out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ovsam_plugin.cli.failure import one_message
from ovsam_plugin.cli.job import LabelJob
from ovsam_plugin.cli.options import Json
from ovsam_plugin.cli.outputs import console

_ASKING = "What to label (one of these; everything when none is given)"
_WORK = "How to run"


def label(
    target: Annotated[
        str,
        typer.Argument(
            metavar="IMAGES_DIR_or_DATASET",
            help="A folder of images, which becomes a persistent dataset, or a dataset's name.",
            show_default=False,
        ),
    ],
    preset: Annotated[str, typer.Option(help="The model.")] = "ovsam-lite",
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A .safetensors file in place of the model's own."),
    ] = None,
    vocabulary: Annotated[
        str,
        typer.Option(
            help="coco, lvis, imagenet-1k, imagenet-21k, open-22k, a .txt/.csv/.json or annotation "
            'file, names such as "cat, dog, fire hydrant", or dataset:FIELD.'
        ),
    ] = "lvis",
    example: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=IMAGE:x1,y1,x2,y2",
            help="An example of a class: a box of an image file, or NAME=ID with the id of a "
            "label; may be repeated.",
        ),
    ] = None,
    boxes: Annotated[
        Path | None,
        typer.Option(
            metavar="GT.json",
            help="The boxes of a COCO or LVIS annotation file.",
            rich_help_panel=_ASKING,
        ),
    ] = None,
    center_points: Annotated[
        Path | None,
        typer.Option(
            metavar="GT.json",
            help="The point deepest inside each mask of a COCO or LVIS annotation file.",
            rich_help_panel=_ASKING,
        ),
    ] = None,
    crowds: Annotated[
        bool,
        typer.Option(
            "--crowds",
            help="Treat annotations marked as crowds as instances: some tools mark what was drawn "
            "with a brush that way.",
            rich_help_panel=_ASKING,
        ),
    ] = False,
    box_field: Annotated[
        str | None,
        typer.Option(metavar="F", help="Boxes of a field.", rich_help_panel=_ASKING),
    ] = None,
    point_field: Annotated[
        str | None,
        typer.Option(metavar="F", help="Keypoints of a field.", rich_help_panel=_ASKING),
    ] = None,
    mask_field: Annotated[
        str | None,
        typer.Option(metavar="F", help="Masks or polygons of a field.", rich_help_panel=_ASKING),
    ] = None,
    refine_masks: Annotated[
        bool,
        typer.Option(
            "--refine-masks",
            help="Redraw the masks of --mask-field instead of only naming them.",
            rich_help_panel=_ASKING,
        ),
    ] = False,
    everything: Annotated[
        bool,
        typer.Option(
            "--everything", help="Everything in the photographs.", rich_help_panel=_ASKING
        ),
    ] = False,
    find: Annotated[
        str | None,
        typer.Option(
            metavar="WORDS", help='What matches words such as "a red bus".', rich_help_panel=_ASKING
        ),
    ] = None,
    min_confidence: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Leave out labels below this.", show_default=False),
    ] = None,
    min_objectness: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Leave out what is less likely to be one whole thing. If not given, the model's "
            "own limit holds where there are no prompts.",
            show_default=False,
        ),
    ] = None,
    all_candidates: Annotated[
        bool,
        typer.Option(
            "--all", help="Without prompts, keep every candidate: parts and doubtful ones too."
        ),
    ] = False,
    tiles: Annotated[
        str,
        typer.Option(
            metavar="auto|off|N",
            help="Also process large photographs and small boxes in overlapping parts; N along "
            "the longer side.",
        ),
    ] = "auto",
    calibration: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.json",
            help="What ovsam calibrate wrote: confidences and thresholds that fit your data.",
        ),
    ] = None,
    adapter: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What ovsam learn wrote: names as you decided them."),
    ] = None,
    namer: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="The namer of what the model draws: openclip:MODEL/WEIGHTS, or another preset.",
        ),
    ] = None,
    cuts: Annotated[
        str | None,
        typer.Option(metavar="MARGIN:BACKGROUND,...", help="As for ovsam name."),
    ] = None,
    field: Annotated[str, typer.Option(help="The label field to write.")] = "ovsam",
    export: Annotated[
        Path | None,
        typer.Option(metavar="preds.json", help="Also write the labels as COCO results."),
    ] = None,
    contact_sheet: Annotated[
        Path | None,
        typer.Option(metavar="sheet.png", help="Also draw the first images with their labels."),
    ] = None,
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.", rich_help_panel=_WORK)
    ] = "auto",
    devices: Annotated[
        str | None,
        typer.Option(
            metavar="all|D,D",
            help="Several devices, with a process for each: all accelerators, or a list such as "
            "cuda:0,cuda:1.",
            rich_help_panel=_WORK,
        ),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            metavar="local|ray",
            help="Where the work runs: here, or on a Ray cluster.",
            rich_help_panel=_WORK,
        ),
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST",
            help="Address of the cluster; without it, one is started here.",
            rich_help_panel=_WORK,
        ),
    ] = None,
    worker_gpus: Annotated[
        float | None,
        typer.Option(
            metavar="N",
            help="GPUs for each worker on the cluster, such as 0.5.",
            rich_help_panel=_WORK,
        ),
    ] = None,
    precision: Annotated[
        str,
        typer.Option(
            metavar="auto|fp32|bf16|fp16",
            help="What to compute with; auto is half precision where the processor is made for it.",
            rich_help_panel=_WORK,
        ),
    ] = "auto",
    compile: Annotated[
        bool,
        typer.Option(
            "--compile",
            help="Compile the encoder for this machine: the first photograph, and the first of "
            "another size, then take half a minute or more.",
            rich_help_panel=_WORK,
        ),
    ] = False,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Images that are taken and written at once; an accelerator encodes them together.",
            rich_help_panel=_WORK,
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes that load images.", rich_help_panel=_WORK)
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Label again what already has labels.", rich_help_panel=_WORK
        ),
    ] = False,
    overwrite_all: Annotated[
        bool,
        typer.Option(
            "--overwrite-all",
            help="The same, and also replace what a person made or decided there.",
            rich_help_panel=_WORK,
        ),
    ] = False,
    as_json: Json = False,
    debug: Annotated[
        bool,
        typer.Option("--debug", help="Show where an error came from.", rich_help_panel=_WORK),
    ] = False,
) -> None:
    """Label a folder of images or a FiftyOne dataset: a mask, a name and scores for every instance.

    Run it again to go on where it stopped; new images in the folder are added.
    """
    fields = {"box_field": box_field, "point_field": point_field, "mask_field": mask_field}
    job = LabelJob(
        target=target,
        preset=preset,
        vocabulary=vocabulary,
        boxes=boxes,
        center_points=center_points,
        crowds=crowds,
        prompt_fields={name: given for name, given in fields.items() if given is not None},
        everything=everything,
        find=find,
        examples=tuple(example or ()),
        field=field,
        export=export,
        contact_sheet=contact_sheet,
        as_json=as_json,
        work={
            "weights": weights,
            "refine_masks": refine_masks,
            "min_confidence": min_confidence,
            "min_objectness": min_objectness,
            "all_candidates": all_candidates,
            "tiles": tiles,
            "calibration": calibration,
            "adapter": adapter,
            "namer": namer,
            "cuts": cuts,
            "device": device,
            "devices": devices,
            "engine": engine,
            "address": address,
            "worker_gpus": worker_gpus,
            "precision": precision,
            "compile": compile,
            "batch_size": batch_size,
            "workers": workers,
            "overwrite": "all" if overwrite_all else overwrite,
        },
    )
    kept = "stopped; what was labelled is kept, and the same command continues from there"
    with one_message(debug, kept):
        job.run(console(as_json))
