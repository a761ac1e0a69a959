"""`ovsam learn`: better names for a run, by what was decided in its review."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ovsam_plugin.cli.failure import one_message, usage
from ovsam_plugin.cli.options import Debug, Json, OverwriteAll, OverwriteNew
from ovsam_plugin.cli.outputs import check_file, console, print_json


def learn(
    dataset: Annotated[str, typer.Argument(help="A dataset's name.", show_default=False)],
    field: Annotated[str, typer.Option(help="The field of a run, with decisions.")] = "ovsam",
    into: Annotated[
        str | None, typer.Option(metavar="F", help="The new field; FIELD_learned if not given.")
    ] = None,
    adapter: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also keep what was learned, for ovsam label --adapter."),
    ] = None,
    min_confidence: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Leave out labels below this.", show_default=False),
    ] = None,
    estimate: Annotated[
        bool,
        typer.Option("--estimate", help="Only estimate what it would be worth; write nothing."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Write without asking.")] = False,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Write even if names get worse.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    overwrite: OverwriteNew = False,
    overwrite_all: OverwriteAll = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Learn from the decisions of a review, and name the run's other instances again.

    Shows first what it is worth, judged on photographs that it did not learn from.
    """
    with one_message(debug), usage():
        from ovsam_plugin.cli.datasets import load_images
        from ovsam_plugin.curation.learning import learn_from_decisions, learn_names

        check_file("--adapter", adapter, "names.adapter")
        samples = load_images(dataset)
        into = into or f"{field}_learned"
        said = console(as_json)
        lesson = learn_from_decisions(samples, pred_field=field, label_field=into, device=device)
        said.print(f"{lesson}")
        told = ("gain", "decisions", "rejected", "added", "unused")
        taught = {name: getattr(lesson, name) for name in told}
        question = f"Write the new names to field {into!r}?"
        if estimate or not (yes or typer.confirm(question, err=as_json)):
            if as_json:
                print_json({**taught, "names": None})
            return
        names = learn_names(
            samples,
            pred_field=field,
            label_field=into,
            lesson=lesson,
            save=adapter,
            min_confidence=min_confidence,
            anyway=anyway,
            device=device,
            overwrite="all" if overwrite_all else overwrite,
        ).names
        if as_json:
            print_json({**taught, "names": names})
        said.print(
            f"{names.instances:,} instances named in field {names.field!r} in {names.seconds:.1f} "
            f"s: {names.changed:,} have a different name than in {names.source!r}, "
            f"{names.decided:,} kept the name that a person decided"
        )
        if adapter is not None:
            said.print(f"what was learned is in {adapter}")
