"""Where FiftyOne finds the plugin."""

from __future__ import annotations

from pathlib import Path

import fiftyone as fo
import pytest

from ovsam_plugin.app import plugin_folder

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty plugins folder."""
    monkeypatch.setattr(fo.config, "plugins_dir", str(tmp_path / "plugins"))
    return tmp_path / "plugins"


def test_in_a_clone_the_plugin_is_the_clone() -> None:
    assert plugin_folder.plugin_folder() == ROOT


def test_a_plugin_is_put_where_fiftyone_finds_it_once(plugins: Path) -> None:
    assert plugin_folder.installed_in() is None
    where = plugin_folder.install()
    assert where == plugins / "fiftyone-ovsam"
    assert where.resolve() == ROOT
    there = plugin_folder.installed_in()
    assert there is not None
    assert there.resolve() == ROOT
    assert plugin_folder.install().resolve() == ROOT
    assert len(list(plugins.iterdir())) == 1


def test_where_no_link_can_be_made_the_plugin_is_copied(
    plugins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("a privilege is not held")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    where = plugin_folder.install()
    assert not where.is_symlink()
    assert (where / "operators" / "label.py").is_file()
    assert not (where / "tests").exists()
    assert plugin_folder.installed_in() == where


def test_a_plugin_that_fiftyone_has_already_is_left_as_it_is(plugins: Path) -> None:
    (plugins / "downloaded").mkdir(parents=True)
    for name in ("fiftyone.yml", "__init__.py"):
        (plugins / "downloaded" / name).write_bytes((ROOT / name).read_bytes())
    assert plugin_folder.install() == plugins / "downloaded"
    assert [path.name for path in plugins.iterdir()] == ["downloaded"]


def test_a_link_to_a_clone_that_is_gone_is_made_anew(plugins: Path, tmp_path: Path) -> None:
    plugins.mkdir()
    (plugins / "fiftyone-ovsam").symlink_to(tmp_path / "gone", target_is_directory=True)
    assert plugin_folder.install().resolve() == ROOT
