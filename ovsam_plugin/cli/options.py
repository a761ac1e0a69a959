"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

Json: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON, for scripts.")
]
Debug: TypeAlias = Annotated[bool, typer.Option("--debug", help="Show where an error came from.")]
OverwriteNew: TypeAlias = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace the labels of the new field if it already exists."),
]
OverwriteAll: TypeAlias = Annotated[
    bool, typer.Option("--overwrite-all", help="Also replace what a person made or decided there.")
]
