"""What is asked for when the package is installed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def table(text: str, name: str) -> list[str]:
    """The strings of a list in pyproject.toml."""
    found = re.search(rf"^{name} = \[\n(.*?)^\]", text, flags=re.MULTILINE | re.DOTALL)
    assert found is not None, f"pyproject.toml has no {name}"
    return re.findall(r'^ +"([^"]+)"', found[1], flags=re.MULTILINE)


def test_the_plugins_requirements_are_the_packages() -> None:
    """FiftyOne, which loads the plugin, is there already; all else is asked for alike."""
    package = table((ROOT / "pyproject.toml").read_text(), "dependencies")
    assert len(package) > 10
    plugin = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line]
    assert plugin == [line for line in package if not line.startswith("fiftyone")]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's wheel, made of a copy without what git does not know."""
    folder = tmp_path_factory.mktemp("wheel")
    archive = folder / "source.zip"
    subprocess.run(["git", "archive", "--format=zip", "-o", archive, "HEAD"], cwd=ROOT, check=True)
    with zipfile.ZipFile(archive) as source:
        source.extractall(folder / "source")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    command += ["--quiet", "--wheel-dir", str(folder), str(folder / "source")]
    subprocess.run(command, check=True)
    (made,) = folder.glob("*.whl")
    return made


@pytest.mark.parametrize("way", ["--prefix", "--target"])
def test_what_is_installed_from_the_wheel_brings_the_apps_plugin(
    wheel: Path, tmp_path: Path, way: str
) -> None:
    target = tmp_path / "installed"
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--quiet", "--ignore-installed"]
    subprocess.run([*command, way, str(target), str(wheel)], check=True)
    (package,) = target.rglob("ovsam_plugin/__init__.py")
    program = (
        "import ovsam_plugin, ovsam_plugin.app.plugin_folder as p\n"
        "print(ovsam_plugin.__file__)\n"
        "print(p.plugin_folder())\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(package.parent.parent)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    used, plugin = (Path(line) for line in done.stdout.split())
    assert used == package
    assert plugin.is_relative_to(target)
    listed = ["git", "ls-files", "operators"]
    known = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    brought = (path for path in (plugin / "operators").rglob("*") if path.suffix in (".py", ".js"))
    assert {str(path.relative_to(plugin)) for path in brought} == set(known.split())
    for name in ("__init__.py", "fiftyone.yml", "manifest.json"):
        assert (plugin / name).read_bytes() == (ROOT / name).read_bytes()


def test_an_archive_for_fiftyone_is_small_and_whole(tmp_path: Path) -> None:
    archive = tmp_path / "plugin.zip"
    subprocess.run(["git", "archive", "--format=zip", "-o", archive, "HEAD"], cwd=ROOT, check=True)
    with zipfile.ZipFile(archive) as file:
        names = file.namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops >= {"fiftyone.yml", "__init__.py", "operators", "ovsam_plugin", "requirements.txt"}
    assert not tops & {"tests", "docs", "benchmarks", "recipes"}
    assert archive.stat().st_size < 35e6
