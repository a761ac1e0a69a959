"""The door to FiftyOne's model zoo, from folders of several kinds."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import fiftyone as fo
import fiftyone.zoo as foz
import pytest

from ovsam_plugin.dataset.model import OvsamModel
from ovsam_plugin.dataset.zoo_source import (
    MODELS,
    SOURCE_NAME,
    TEXT_MODELS,
    install,
    manifest,
    offers,
)
from ovsam_plugin.presets import PRESETS

ROOT = Path(__file__).resolve().parents[2]


def load() -> OvsamModel:
    names = "cat, cup, person, spoon"
    loaded = foz.load_zoo_model("ovsam-lite", vocabulary=names, device="cpu", cache=False)
    assert isinstance(loaded, OvsamModel)
    return loaded


def test_the_manifest_lists_every_preset() -> None:
    assert json.loads((ROOT / "manifest.json").read_text()) == manifest()
    assert list(MODELS) == list(PRESETS)
    for name, model in MODELS.items():
        preset = PRESETS[name]
        assert (model.fetched, model.min_objectness) == (
            preset.release is not None,
            preset.min_objectness,
        )
    assert set(MODELS) <= set(foz.list_zoo_models())
    assert PRESETS["ovsam-lite"].licence.startswith(MODELS["ovsam-lite"].licence)


def test_an_installed_package_can_put_its_models_into_the_zoo(zoo: Path) -> None:
    assert "ovsam-lite" not in foz.list_zoo_models()
    assert install() == zoo / "ovsam"
    assert load().media_type == "image"
    assert install() == zoo / "ovsam"


def test_a_source_of_the_same_name_that_something_else_made_is_left_alone(zoo: Path) -> None:
    (zoo / "ovsam").mkdir()
    (zoo / "ovsam" / "__init__.py").write_text("mine = True\n")
    (zoo / "ovsam" / "manifest.json").write_text('{"name": "ovsam", "models": []}')
    assert install() == zoo / "fiftyone-ovsam"
    assert (zoo / "ovsam" / "__init__.py").read_text() == "mine = True\n"
    load()
    assert install() == zoo / "fiftyone-ovsam"
    (zoo / "fiftyone-ovsam" / "__init__.py").write_text("mine = True\n")
    (zoo / "fiftyone-ovsam" / "manifest.json").unlink()
    with pytest.raises(ValueError, match="were not made by this command"):
        install()


def test_a_user_s_registered_copy_of_the_repository_is_not_written_to(zoo: Path) -> None:
    # As `foz.register_zoo_model_source` leaves it: with the address it came from.
    folder = zoo / "ovsam"
    folder.mkdir()
    shutil.copy(ROOT / "__init__.py", folder)
    listing = {**manifest(), "url": "https://github.com/somebody/fork"}
    (folder / "manifest.json").write_text(json.dumps(listing))
    before = [(folder / file).read_bytes() for file in ("__init__.py", "manifest.json")]
    assert install() == folder
    assert [(folder / file).read_bytes() for file in ("__init__.py", "manifest.json")] == before
    assert foz.list_zoo_model_sources() == [listing["url"]]


def test_a_user_s_source_keeps_the_models_that_it_has(zoo: Path) -> None:
    theirs = zoo / "lab" / "models"
    theirs.mkdir(parents=True)
    listing = manifest("lab/models", without=set(TEXT_MODELS))
    (theirs / "manifest.json").write_text(json.dumps(listing))
    (theirs / "__init__.py").write_text("")
    written = json.loads((install() / "manifest.json").read_text())
    assert {model["base_name"] for model in written["models"]} == set(TEXT_MODELS)
    assert set(foz.list_zoo_models()) >= {*MODELS, *TEXT_MODELS}


def test_files_that_are_linked_into_the_zoo_are_not_written_to(zoo: Path) -> None:
    (zoo / "ovsam").mkdir()
    for file in ("__init__.py", "manifest.json"):
        (zoo / "ovsam" / file).symlink_to(ROOT / file)
    before = [(ROOT / file).read_bytes() for file in ("__init__.py", "manifest.json")]
    assert install() == zoo / "ovsam"
    assert [(ROOT / file).read_bytes() for file in ("__init__.py", "manifest.json")] == before


@pytest.mark.parametrize(
    ("folder", "models", "listed"),
    [
        ("ovsam", ["ovsam-lite"], True),
        ("lab/models", ["ovsam-lite"], True),
        ("a/b/c", ["ovsam-lite"], True),
        (".hidden", ["ovsam-lite"], False),
        ("ovsam", ["another"], False),
        ("ovsam", "damaged", False),
    ],
)
def test_what_the_zoo_offers_is_read_without_the_whole_of_it(
    zoo: Path, folder: str, models: list[str], listed: bool
) -> None:
    source = zoo / folder
    source.mkdir(parents=True)
    listing = manifest(folder, without={"ovsam-lite"}.difference(models))
    (source / "manifest.json").write_text("{" if models == "damaged" else json.dumps(listing))
    (source / "__init__.py").write_text("")
    assert offers("ovsam-lite") == ("ovsam-lite" in foz.list_zoo_models()) == listed


def test_lists_that_the_configuration_names_are_read(
    zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = tmp_path / "models.json"
    listing.write_text(json.dumps(manifest()))
    assert not offers("ovsam-lite")
    monkeypatch.setattr(fo.config, "model_zoo_manifest_paths", [str(listing)])
    assert offers("ovsam-lite")
    assert "ovsam-lite" in foz.list_zoo_models()


LISTED = """
import sys, fiftyone.zoo as foz
{first}
print("ovsam-lite-text" in foz.list_zoo_models())
print(type(foz.load_zoo_model("ovsam-lite-text")).__name__)
"""


def in_another_process(first: str, zoo: Path) -> subprocess.CompletedProcess[str]:
    """Loads a model where nothing but the zoo tells of this library."""
    environment = {**os.environ, "FIFTYONE_MODEL_ZOO_DIR": str(zoo)}
    command = [sys.executable, "-I", "-c", LISTED.format(first=first)]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_a_model_that_a_clone_put_into_the_zoo_loads_in_every_process(
    zoo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("ovsam_plugin.dataset.zoo_source.distribution", missing)
    install()
    done = in_another_process("", zoo)
    assert done.stdout.split() == ["True", "TextModel"], done.stderr


def test_a_model_whose_package_is_gone_says_what_to_install_or_remove(zoo: Path) -> None:
    folder = install()
    done = in_another_process("sys.modules['ovsam_plugin'] = None", zoo)
    assert done.returncode != 0
    assert "need the package fiftyone-ovsam" in done.stderr
    assert f"remove the folder {folder}" in done.stderr


def test_a_copy_of_the_repositorys_door_is_a_source_of_its_own(zoo: Path) -> None:
    folder = zoo / SOURCE_NAME
    folder.mkdir()
    for file in ("__init__.py", "manifest.json"):
        shutil.copy(ROOT / file, folder / file)
    load()
    assert (folder / "ovsam-lite.json").is_file()
