"""`ovsam info PRESET`: what a preset is made of, counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ovsam_plugin.cli.failure import one_message, usage

if TYPE_CHECKING:
    from ovsam_plugin.presets import Preset


def info(
    preset: Annotated[
        str, typer.Argument(help="A preset, such as ovsam-lite; or presets, for a table of them.")
    ] = "ovsam-lite",
    prompts: Annotated[
        int, typer.Option(min=1, help="How many prompts the multiply-adds are counted for.")
    ] = 10,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
) -> None:
    """Parameters and multiply-adds of a preset, part by part, counted on the network itself."""
    with one_message(debug):
        if preset == "presets":
            _tell_of_all()
            return
        with usage():
            from ovsam_plugin.presets import get_preset

            chosen = get_preset(preset)
        from rich.console import Console
        from rich.table import Table

        from ovsam_plugin.network.cost import count, total

        if chosen.network.encoder == "sam":
            _tell(chosen)
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
        console = Console()
        console.print(table)
        console.print(f"weights: {chosen.weights_file or 'not in the package'}")
        console.print(f"licence of the weights: {chosen.licence}")


def _tell_of_all() -> None:
    """Every preset, who names, where its weights are and what may be done with them."""
    from rich.console import Console
    from rich.table import Table

    from ovsam_plugin.presets import PRESETS, SAM_PRESETS

    table = Table("preset", "named by", "weights", "licence of the weights")
    for preset in (*PRESETS.values(), *SAM_PRESETS.values()):
        shipped = preset.weights_file and "in the package"
        fetched = "fetched when first used" if preset.release else "--weights FILE"
        named = preset.namer or "itself"
        table.add_row(preset.name, named, shipped or fetched, preset.licence)
    Console().print(table)


def _tell(preset: Preset) -> None:
    """Of one that draws with a checkpoint of the user's."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{preset.name}: masks of segment_anything, named by {preset.namer}")
    console.print("weights: a checkpoint of segment_anything, by --weights FILE")
    console.print(f"licence of the weights: {preset.licence}")
