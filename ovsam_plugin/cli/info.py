"""`ovsam info PRESET`: what a preset is made of, counted."""

from __future__ import annotations

from typing import Annotated

import typer

from ovsam_plugin.cli.failure import one_message, usage
from ovsam_plugin.cli.outputs import Json, console, print_json


def info(
    preset: Annotated[str, typer.Argument(help="A preset, such as ovsam-lite.")] = "ovsam-lite",
    prompts: Annotated[
        int, typer.Option(min=1, help="How many prompts the multiply-adds are counted for.")
    ] = 10,
    as_json: Json = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
) -> None:
    """Parameters and multiply-adds of a preset, part by part, counted on the network itself."""
    with one_message(debug):
        with usage():
            from ovsam_plugin.presets import get_preset

            chosen = get_preset(preset)
        from rich.table import Table

        from ovsam_plugin.network.cost import count, total

        parts = count(chosen.network, prompts=prompts)
        table = Table(title=f"{chosen.name}: one image, {prompts} prompts")
        table.add_column("part")
        table.add_column("parameters", justify="right")
        table.add_column("multiply-adds", justify="right")
        for part in [*parts, total(parts)]:
            if part.name == "total":
                table.add_section()
            giga = part.multiply_adds / 1e9
            table.add_row(part.name, f"{part.parameters:,}", f"{giga:,.1f} G")
        if as_json:
            about = {"preset": chosen.name, "prompts": prompts, "parts": parts}
            about |= {"weights": chosen.weights_file, "licence": chosen.licence}
            print_json({**about, "total": total(parts)})
        said = console(as_json, table=True)
        said.print(table)
        said.print(f"weights: {chosen.weights_file or 'not in the package'}")
        said.print(f"licence of the weights: {chosen.licence}")
