"""`ovsam search`: instances of a labelled dataset that fit some words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ovsam_plugin.cli.failure import one_message, usage
from ovsam_plugin.cli.options import Debug, Json
from ovsam_plugin.cli.outputs import console, print_json


def search(
    dataset: Annotated[str, typer.Argument(help="A dataset's name.", show_default=False)],
    words: Annotated[
        str,
        typer.Argument(
            help='Such as "a red bus"; the name of a class that has examples; the id of a label; '
            "or IMAGE:x1,y1,x2,y2, a box of an image file.",
            show_default=False,
        ),
    ],
    field: Annotated[str, typer.Option(help="The field of a labelling run.")] = "ovsam",
    k: Annotated[int, typer.Option("-k", min=1, help="How many to show.")] = 10,
    save_view: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Save the result as a view with this name."),
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """List the instances that fit words best. No image is looked at again."""
    with one_message(debug), usage():
        from rich.table import Table

        from ovsam_plugin.cli.datasets import load_images
        from ovsam_plugin.curation.search import search as find
        from ovsam_plugin.dataset.targets import root_dataset

        samples = load_images(dataset)
        view = find(samples, words, pred_field=field, k=k)
        table = Table("score", "named", "confidence", "image", "label id")
        paths = [f"{field}.search_score", f"{field}.label", f"{field}.confidence", "filepath", "id"]
        rows = list(zip(*view.values(paths)))
        if as_json:
            keys = ("score", "label", "confidence", "filepath", "id")
            print_json([dict(zip(keys, row)) for row in rows])
        for score, label, confidence, path, label_id in rows:
            shown = "" if confidence is None else f"{confidence:.2f}"
            table.add_row(f"{score:.3f}", label, shown, Path(path).name, label_id)
        said = console(as_json, table=True)
        said.print(table)
        if save_view is not None:
            root_dataset(samples).save_view(save_view, view, overwrite=True)
            said.print(f"kept as the view {save_view!r} of {dataset!r}")
