"""The command's door, seen from a process of its own, and `ovsam info`."""

import subprocess
import sys
from pathlib import Path

import fiftyone as fo
import pytest
from typer.testing import CliRunner

from ovsam_plugin.cli.app import app

ROOT = Path(__file__).resolve().parents[2]


def test_help_brings_neither_torch_nor_fiftyone():
    program = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from ovsam_plugin.cli.app import app\n"
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
    result = CliRunner().invoke(app, ["--version"])
    assert result.exit_code == 0
    assert result.output.startswith("ovsam 0.")


@pytest.mark.parametrize("preset", ["ovsam-rn50x16-coco", "ovsam-rn50x16-lvis"])
def test_info_counts_the_papers_parameters_and_what_is_computed(preset):
    output = CliRunner().invoke(app, ["info", preset]).output
    (total,) = [line for line in output.splitlines() if "total" in line]
    assert "304,046,908" in total
    assert "1,105." in total


def test_an_unknown_preset_is_an_error_of_usage():
    result = CliRunner().invoke(app, ["info", "ovsam-huge"])
    assert result.exit_code == 2
    assert "ovsam-lite" in result.output


def test_the_zoo_learns_the_presets_and_can_be_told_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(fo.config, "model_zoo_dir", str(tmp_path))
    for _ in range(2):
        result = CliRunner().invoke(app, ["zoo"])
        assert result.exit_code == 0
    assert "ovsam-lite" in (tmp_path / "ovsam" / "manifest.json").read_text()


def test_the_zoo_command_writes_into_no_folder_that_it_did_not_make(tmp_path, monkeypatch):
    monkeypatch.setattr(fo.config, "model_zoo_dir", str(tmp_path))
    mine = [tmp_path / name for name in ("ovsam", "fiftyone-ovsam")]
    for folder in mine:
        folder.mkdir()
        (folder / "__init__.py").write_text("# mine")
    refused = CliRunner().invoke(app, ["zoo"])
    assert refused.exit_code == 1
    assert "remove one" in refused.output
    assert all((folder / "__init__.py").read_text() == "# mine" for folder in mine)
