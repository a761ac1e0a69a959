"""`ovsam info PRESET`: what a preset is made of, counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ovsam_plugin.cli.failure import one_message, usage
from ovsam_plugin.cli.options import Debug, Json
from ovsam_plugin.cli.outputs import console, print_json

if TYPE_CHECKING:
    from ovsam_plugin.presets import Preset


def info(
    preset: Annotated[
        str, typer.Argument(help="A preset, such as ovsam-lite; or presets, for a table of them.")
    ] = "ovsam-lite",
    prompts: Annotated[
        int, typer.Option(min=1, help="How many prompts the multiply-adds are counted for.")
    ] = 10,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Parameters and multiply-adds of a preset, part by part, counted on the network itself."""
    with one_message(debug):
        if preset == "presets":
            _tell_of_all(as_json)
            return
        with usage():
            from ovsam_plugin.presets import get_preset

            chosen = get_preset(preset)
        from rich.table import Table

        from ovsam_plugin.network.cost import count, total

        if chosen.network.encoder == "sam":
            _tell(chosen, as_json)
            return
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


def _tell_of_all(as_json: bool) -> None:
    """Every preset, who names, where its weights are and what may be done with them."""
    from rich.table import Table

    from ovsam_plugin.presets import PRESETS, SAM_PRESETS

    rows = []
    table = Table("preset", "named by", "weights", "licence of the weights")
    for preset in (*PRESETS.values(), *SAM_PRESETS.values()):
        shipped = preset.weights_file and "in the package"
        fetched = "fetched when first used" if preset.release else "--weights FILE"
        named = preset.namer or "itself"
        table.add_row(preset.name, named, shipped or fetched, preset.licence)
        row = {"preset": preset.name, "namer": preset.namer, "weights": preset.weights_file}
        rows.append({**row, "licence": preset.licence})
    if as_json:
        print_json(rows)
    console(as_json, table=True).print(table)


def _tell(preset: Preset, as_json: bool) -> None:
    """Of one that draws with a checkpoint of the user's."""
    if as_json:
        about = {"preset": preset.name, "namer": preset.namer, "weights": None}
        print_json({**about, "licence": preset.licence})
    said = console(as_json)
    said.print(f"{preset.name}: masks of segment_anything, named by {preset.namer}")
    said.print("weights: a segment_anything checkpoint, given with --weights FILE")
    said.print(f"licence of the weights: {preset.licence}")
