"""How fast the parts are beside what they replace: each row a ratio measured in one run.

    python benchmarks/targets.py [NAME ...] [--json FILE] [--results FILE] [--device D] [--quick]

`--quick` takes fewer turns and images for a first look. It ends with 1 where a target is not met.
The rows are in `network_rows.py` and `run_rows.py`.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import network_rows, run_rows  # noqa: E402
from benchmarks.bench import Bench, Row  # noqa: E402
from ovsam_plugin.hardware.device import pick_device  # noqa: E402
from ovsam_plugin.hardware.precision import cpu_has_bf16, cpu_has_tiles  # noqa: E402

ROWS: dict[str, Callable[[Bench], list[Row]]] = {
    "neck": network_rows.neck,
    "encoder": network_rows.encoder,
    "decoder": network_rows.decoder,
    "photograph": network_rows.photograph,
    "everything": network_rows.everything,
    "pool": network_rows.pool,
    "vocabulary": network_rows.vocabulary,
    "pipeline": run_rows.pipeline,
    "ray": run_rows.ray,
    "memory": run_rows.memory,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(ROWS))
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument(
        "--results", type=Path, metavar="FILE", help="a page that the table is added to"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - ROWS.keys():
        parser.error(f"there is no row {', '.join(sorted(unknown))}: there are {', '.join(ROWS)}")
    bench = Bench(pick_device(given.device), given.quick)
    machine = (
        f"{_processor()}, {torch.get_num_threads()} threads, {_instructions()}, "
        f"torch {torch.__version__}, Python {platform.python_version()}"
    )
    if bench.device.type == "cuda":
        machine += f", {torch.cuda.get_device_name(bench.device)}"
    found = [row for name in given.names or ROWS for row in ROWS[name](bench)]
    table = Table(title=f"{machine}{', quick' if given.quick else ''}")
    for head in ("what", "ratio", "target", "met"):
        table.add_column(head, justify="left" if head == "what" else "right")
    for row in found:
        sign = ">=" if row.at_least else "<="
        met = "yes" if row.met else "no"
        table.add_row(row.name, f"{row.ratio:.3g}", f"{sign} {row.target:g}", met)
    console = Console(width=110)
    console.print(table)
    if not bench.has_bf16:
        console.print("This device has no bf16 of its own: the rows of it are left out.")
    if given.json is not None:
        rows = [{**asdict(row), "met": row.met} for row in found]
        given.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
    if given.results is not None:
        write_results(given.results, machine, arguments or sys.argv[1:], found)
    return 0 if all(row.met for row in found) else 1


def write_results(path: Path, machine: str, arguments: Sequence[str], rows: Sequence[Row]) -> None:
    """Adds the rows to a page, with where and how they were measured."""
    before = path.read_text() if path.exists() else "# Results\n"
    lines = [
        "",
        f"`python benchmarks/targets.py {' '.join(arguments)}`, {date.today()}: {machine}.",
        "",
        "| what | ratio | target | met |",
        "|---|---|---|---|",
        *(
            f"| {row.name} | {row.ratio:.3g} | {'≥' if row.at_least else '≤'} {row.target:g} "
            f"| {'yes' if row.met else 'no'} |"
            for row in rows
        ),
    ]
    path.write_text(before + "\n".join(lines) + "\n")


def _processor() -> str:
    """Its name, as far as the system tells."""
    told = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", told.read_text()) if told.exists() else []
    return names[0] if names else platform.machine()


def _instructions() -> str:
    """What it computes with: processors of one name differ in it."""
    bf16 = f"bf16{' in tiles' if cpu_has_tiles() else ''}" if cpu_has_bf16() else "no bf16"
    return f"{torch.backends.cpu.get_cpu_capability()}, {bf16}"


if __name__ == "__main__":
    sys.exit(main())
