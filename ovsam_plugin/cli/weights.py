"""`ovsam weights`: the published checkpoints on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ovsam_plugin.cli.failure import CommandError, UsageError, one_message, usage
from ovsam_plugin.cli.options import Debug, Json
from ovsam_plugin.cli.outputs import console, print_json

if TYPE_CHECKING:
    from ovsam_plugin.presets import Preset

weights = typer.Typer(
    help="Fetch, check and convert the published checkpoints.", no_args_is_help=True
)

_Name = Annotated[str, typer.Argument(metavar="NAME", help="A preset, such as ovsam-rn50x16-lvis.")]


@weights.command()
def fetch(
    name: _Name,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Accept the licence without being asked.")
    ] = False,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="DIR",
            help="Take the published files from a folder instead of the network.",
        ),
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Fetch the published files of a preset and make one .safetensors file from them.

    Run it again to go on where it stopped.
    """
    with one_message(debug, "stopped; the same command continues with what was fetched"):
        preset = _published(name)
        if source is not None and not source.is_dir():
            raise UsageError(f"--from: there is no folder {source}")
        from ovsam_plugin.checkpoints.store import obtain

        _tell_of(name, obtain(preset, accepted=accept_licence, source=source), as_json)


@weights.command("list")
def list_(as_json: Json = False, debug: Debug = False) -> None:
    """List the weights on this machine, and those that can be fetched."""
    with one_message(debug):
        from rich.table import Table

        from ovsam_plugin.checkpoints import store
        from ovsam_plugin.presets import PRESETS

        presets = [preset for preset in PRESETS.values() if preset.release is not None]
        paths = [*map(store.model_path, presets), *store.parts()]
        if as_json:
            here = [path.stat().st_size if path.is_file() else None for path in paths]
            print_json([{"file": path, "bytes": size} for path, size in zip(paths, here)])
        table = Table("file", "size", "where")
        for path in paths:
            state = _size(path) if path.is_file() else "not fetched"
            table.add_row(path.name, state, str(path.parent))
        console(as_json, table=True).print(table)


@weights.command()
def verify(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A preset; everything when not given.")
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Read every byte, and check it against the recorded sha256."""
    with one_message(debug):
        from ovsam_plugin.checkpoints import store
        from ovsam_plugin.checkpoints.record import checked_sha256

        paths = [*store.models(), *store.parts()] if name is None else [_here(_published(name))]
        found: list[dict[str, Any]] = []
        for path in paths:
            row: dict[str, Any] = {"file": path, "sha256": None, "problem": None}
            try:
                row["sha256"] = checked_sha256(path, whole=True)
            except ValueError as error:
                row["problem"] = str(error)
            else:
                if not as_json:
                    typer.echo(f"{row['sha256']}  {path}")
            found.append(row)
        if as_json:
            print_json(found)
        bad = [row["problem"] for row in found if row["problem"]]
        if bad:
            raise CommandError("\n".join(bad))
        if not paths:
            typer.echo("nothing has been fetched yet", err=as_json)


@weights.command()
def path(name: _Name, as_json: Json = False, debug: Debug = False) -> None:
    """Show where the assembled model of a preset is."""
    with one_message(debug):
        from ovsam_plugin.checkpoints.preset_weights import weights_path
        from ovsam_plugin.presets import get_preset

        with usage():
            preset = get_preset(name)
        _tell_of(name, _here(preset) if preset.release else weights_path(preset), as_json)


@weights.command()
def convert(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILES", help="Checkpoints that make up the model.")
    ],
    output: Annotated[
        Path, typer.Option(metavar="OUT.safetensors", help="The file to write.", show_default=False)
    ],
    preset: Annotated[str, typer.Option(metavar="NAME", help="The preset that they make up.")],
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Make one .safetensors file from checkpoints on this machine, whatever their names."""
    with one_message(debug):
        chosen = _published(preset)
        if output.suffix != ".safetensors":
            raise UsageError(f"--output must end in .safetensors, got {output.name}")
        from ovsam_plugin.checkpoints import store

        _tell_of(preset, store.convert(chosen, files, output), as_json)


@weights.command()
def remove(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help='A preset, or "parts" for the files that models were made from.'
        ),
    ],
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Remove an assembled model, or the files that models were made from."""
    with one_message(debug):
        from ovsam_plugin.checkpoints import store

        removed = store.parts() if name == "parts" else [_here(_published(name))]
        for each in removed:
            store.remove(each)
            typer.echo(f"removed {each}", err=as_json)
        if as_json:
            print_json({"removed": removed})


def _tell_of(name: str, path: Path, as_json: bool) -> None:
    """Where a preset's file is."""
    if as_json:
        print_json({"preset": name, "file": path})
    else:
        typer.echo(path)


def _published(name: str) -> Preset:
    from ovsam_plugin.presets import get_preset

    with usage():
        preset = get_preset(name)
    if preset.release is None:
        raise UsageError(f"the weights of {name} come with the package: there is nothing to fetch")
    return preset


def _here(preset: Preset) -> Path:
    from ovsam_plugin.checkpoints.store import model_path

    found = model_path(preset)
    if not found.is_file():
        raise CommandError(f"{found} is not there: ovsam weights fetch {preset.name} makes it")
    return found


def _size(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:,.1f} MB"
