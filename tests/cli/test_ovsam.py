"""The command's door, seen from a process of its own."""

import subprocess
import sys
from pathlib import Path

from tests.cli.calling import run

ROOT = Path(__file__).resolve().parents[2]


def test_help_brings_neither_torch_nor_fiftyone():
    program = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from ovsam_plugin.cli.ovsam import app\n"
        "print(CliRunner().invoke(app, ['label', '--help']).output)\n"
        "print(sorted({'torch', 'fiftyone', 'numpy'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "--center-points" in done.stdout
    assert done.stdout.strip().endswith("[]")


def test_the_version_is_said():
    assert run("--version").startswith("ovsam 0.")


def test_without_a_command_the_commands_are_listed():
    output = run(code=2)
    for name in ("label", "search", "evaluate", "doctor", "weights"):
        assert f" {name} " in output
