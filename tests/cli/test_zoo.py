"""`ovsam zoo`."""

from __future__ import annotations

import json
from pathlib import Path

import fiftyone as fo
import pytest

from tests.cli.calling import run, told


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of FiftyOne's model zoo."""
    monkeypatch.setattr(fo.config, "model_zoo_dir", str(tmp_path))
    return tmp_path


def test_the_zoo_learns_the_presets_and_can_be_told_twice(zoo: Path) -> None:
    for _ in range(2):
        assert str(zoo / "ovsam") in run("zoo")
    assert "ovsam-lite" in (zoo / "ovsam" / "manifest.json").read_text()


def test_scripts_get_the_folder_and_the_models_in_it(zoo: Path) -> None:
    made = told("zoo")
    listing = json.loads((Path(made["folder"]) / "manifest.json").read_text())
    assert made["models"] == [model["base_name"] for model in listing["models"]]


def test_it_writes_into_no_folder_that_it_did_not_make(zoo: Path) -> None:
    mine = [zoo / name for name in ("ovsam", "fiftyone-ovsam")]
    for folder in mine:
        folder.mkdir()
        (folder / "__init__.py").write_text("# mine")
    assert "remove one" in run("zoo", code=1)
    assert all((folder / "__init__.py").read_text() == "# mine" for folder in mine)
