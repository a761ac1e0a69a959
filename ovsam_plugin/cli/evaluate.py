"""`ovsam evaluate`: methods asked about annotated images, or labels held against other labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from ovsam_plugin.cli.evaluation_job import EvaluationJob
from ovsam_plugin.cli.failure import one_message
from ovsam_plugin.cli.options import Json
from ovsam_plugin.cli.outputs import console

_TRUTH = "Ground truth (one of these)"
_METHODS = "What is evaluated"
_WORK = "How to run"


class EvaluateCommand(TyperCommand):
    """`ovsam evaluate`, which for one release takes `--json FILE` for `--figures FILE`, too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The arguments as typer reads them."""
        args = list(args)
        for i, (option, value) in enumerate(zip(args, [*args[1:], ""])):
            if option.startswith("--json="):
                args[i] = option.replace("--json", "--figures", 1)
            elif option == "--json" and value.endswith(".json"):
                args[i] = "--figures"
            else:
                continue
            typer.echo(
                "warning: --json FILE is now --figures FILE, and --json alone prints the figures; "
                "the old use will be removed in the next release",
                err=True,
            )
        return super().parse_args(ctx, args)


def evaluate(
    target: Annotated[
        str,
        typer.Argument(
            metavar="DATASET_or_IMAGES",
            help="A folder of images, for which no database is needed, or a dataset's name.",
            show_default=False,
        ),
    ],
    annotations: Annotated[
        Path | None,
        typer.Option(
            metavar="GT.json", help="A COCO or LVIS annotation file.", rich_help_panel=_TRUTH
        ),
    ] = None,
    gt_field: Annotated[
        str | None,
        typer.Option(
            metavar="F",
            help="A field of the dataset, to evaluate existing labels: see --field.",
            rich_help_panel=_TRUTH,
        ),
    ] = None,
    crowds: Annotated[
        bool,
        typer.Option(
            "--crowds",
            help="Treat annotations marked as crowds as instances: some tools mark what was drawn "
            "with a brush that way.",
            rich_help_panel=_TRUTH,
        ),
    ] = False,
    protocol: Annotated[
        str,
        typer.Option(
            help="What the prompts are. box: the true boxes; center-point: the point deepest "
            "inside each true mask; detector: the boxes of --detections; everything: no "
            "prompts."
        ),
    ] = "box",
    split: Annotated[
        str | None,
        typer.Option(
            help="Which classes are base and novel: coco-48-17, lvis-rare, or a JSON or CSV file; "
            "classes in neither are left out.",
            show_default=False,
        ),
    ] = None,
    vocabulary: Annotated[
        str | None,
        typer.Option(
            help="As for ovsam label. If not given, COCO's or LVIS's if it tells all classes of "
            "the annotations apart, otherwise their own; with a split, only its classes.",
            show_default=False,
        ),
    ] = None,
    preset: Annotated[
        str, typer.Option(help="The model.", rich_help_panel=_METHODS)
    ] = "ovsam-lite",
    weights: Annotated[
        Path | None,
        typer.Option(
            help="A .safetensors file in place of the preset's own.", rich_help_panel=_METHODS
        ),
    ] = None,
    baselines: Annotated[
        str,
        typer.Option(
            help="Other methods to compare with: all, or names separated by commas.",
            rich_help_panel=_METHODS,
        ),
    ] = "",
    context: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="A learned context, for the baselines whose name ends in +coop; may be repeated.",
            rich_help_panel=_METHODS,
        ),
    ] = None,
    sam: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also evaluate SAM and CLIP from two checkpoints; this is segment_anything's, and "
            "needs --clip.",
            rich_help_panel=_METHODS,
        ),
    ] = None,
    clip: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL/FILE",
            help="With --sam: open_clip's model and its checkpoint, such as "
            "RN50x16/clip.safetensors, or the name of published weights, such as "
            "RN50x16/openai.",
            show_default=False,
            rich_help_panel=_METHODS,
        ),
    ] = None,
    faithful: Annotated[
        bool,
        typer.Option(
            "--faithful",
            help="Also evaluate as the authors do, with all oddities and the leak of true boxes.",
            rich_help_panel=_METHODS,
        ),
    ] = False,
    detections: Annotated[
        Path | None,
        typer.Option(
            metavar="DETS.json",
            help="A detector's COCO results, for --protocol detector.",
            rich_help_panel=_METHODS,
        ),
    ] = None,
    field: Annotated[
        str | None,
        typer.Option(
            metavar="F",
            help="Labels of the dataset, evaluated as they are; no model runs.",
            rich_help_panel=_METHODS,
        ),
    ] = None,
    compare: Annotated[
        str | None,
        typer.Option(
            metavar="F",
            help="Other labels of the same photographs: how much better they are, and whether "
            "that could be chance.",
            rich_help_panel=_METHODS,
        ),
    ] = None,
    slice_by: Annotated[
        list[str] | None,
        typer.Option(
            "--slice",
            metavar="F",
            help="Also break the figures down by a field of the samples, such as tags; may be "
            "repeated.",
            rich_help_panel=_METHODS,
        ),
    ] = None,
    eval_key: Annotated[
        str | None,
        typer.Option(
            help="The name under which the results of --field are kept for the App; FIELD_eval if "
            "not given.",
            show_default=False,
            rich_help_panel=_METHODS,
        ),
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json", help="Also write all figures to a JSON file."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Also write a report with plots, Markdown and HTML."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Maximum number of images to evaluate.", rich_help_panel=_WORK),
    ] = None,
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.", rich_help_panel=_WORK)
    ] = "auto",
    as_json: Json = False,
    debug: Annotated[
        bool,
        typer.Option("--debug", help="Show where an error came from.", rich_help_panel=_WORK),
    ] = False,
) -> None:
    """Measure masks and names on annotated images, and print the paper's table.

    With --annotations the preset is asked now, image by image. With --field and --gt-field, labels
    that a dataset has are measured, and shown in the App's Model Evaluation panel.
    """
    job = EvaluationJob(
        target=target,
        annotations=annotations,
        gt_field=gt_field,
        protocol=protocol,
        split=split,
        vocabulary=vocabulary,
        preset=preset,
        weights=weights,
        baselines=tuple(name.strip() for name in baselines.split(",") if name.strip()),
        contexts=tuple(context or ()),
        sam=sam,
        clip=clip,
        faithful=faithful,
        detections=detections,
        field=field,
        eval_key=eval_key,
        figures=figures,
        as_json=as_json,
        report=report,
        limit=limit,
        device=device,
        crowds=crowds,
        compare=compare,
        slices=tuple(slice_by or ()),
    )
    with one_message(debug):
        job.run(console(as_json))
