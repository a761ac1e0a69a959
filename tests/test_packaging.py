"""What is installed and downloaded, and that it works where it comes to."""

from __future__ import annotations

import json
import os
import re
import shlex
import site
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
INSTALL = ("-m", "pip", "install", "--no-deps", "--no-index", "--no-compile", "--quiet")


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


def test_what_is_installed_into_a_folder_brings_the_apps_plugin(
    wheel: Path, tmp_path: Path
) -> None:
    target = tmp_path / "installed"
    command = [sys.executable, *INSTALL, "--ignore-installed", "--target", str(target), str(wheel)]
    subprocess.run(command, check=True)
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


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make dist` makes for FiftyOne's own commands, by the Makefile's own line."""
    folder = tmp_path_factory.mktemp("archive")
    lines = (ROOT / "Makefile").read_text().splitlines()
    (line,) = [line for line in lines if "git archive" in line]
    command = shlex.split(line.strip().removeprefix("@"))
    output = command.index("--output") + 1
    command[output] = str(folder / Path(command[output]).name)
    subprocess.run(command, cwd=ROOT, check=True)
    return Path(command[output])


def test_the_archive_for_fiftyone_is_small_and_whole(archive: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        names = [name.split("/") for name in file.namelist()]
    assert {name[0] for name in names} == {"fiftyone-ovsam"}
    tops = {name[1] for name in names}
    assert tops >= {"fiftyone.yml", "__init__.py", "operators", "ovsam_plugin", "requirements.txt"}
    assert not tops & {"tests", "docs", "benchmarks", "recipes", ".ci"}
    assert archive.stat().st_size < 35e6


@pytest.fixture(scope="module")
def address(archive: Path) -> Iterator[str]:
    """Where the archive can be fetched."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = partial(Handler, directory=str(archive.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/{archive.name}"
        server.shutdown()


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """An environment with every package of this one but ours: its folder."""
    folder = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    for source in site.getsitepackages():
        for path in Path(source).glob("*"):
            if "ovsam" not in path.name and not (packages / path.name).exists():
                (packages / path.name).symlink_to(path)
    return folder


def said(bare: Path, *command: str) -> str:
    """What a command of that environment prints, with folders of FiftyOne's beside it."""
    home = bare.parent
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {
        "FIFTYONE_PLUGINS_DIR": str(home / "plugins"),
        "FIFTYONE_MODEL_ZOO_DIR": str(home / "zoo"),
        "NO_PROXY": "127.0.0.1",
    }
    call = [str(bare / "bin" / command[0]), *command[1:]]
    done = subprocess.run(call, cwd=home, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


DOWNLOAD = """
import importlib.util, json, sys
import fiftyone.plugins as fop
from fiftyone.operators.registry import OperatorRegistry

assert importlib.util.find_spec("ovsam_plugin") is None
fop.download_plugin(sys.argv[1])
(plugin,) = fop.list_plugins()
registry = OperatorRegistry()
own = [o for o in registry.list_operators() if o.plugin_name == plugin.name]
names = [o.name for o in own]
import ovsam_plugin
print(json.dumps(dict(plugin=plugin.name, folder=str(plugin.directory), operators=names,
    errors=registry.list_errors(), package=ovsam_plugin.__file__)))
"""


def test_fiftyone_downloads_the_plugin_and_finds_all_its_operators(
    bare: Path, address: str, tmp_path: Path
) -> None:
    """Nothing is installed: the package is found in what was downloaded."""
    found = json.loads(said(bare, "python", "-c", DOWNLOAD, address).splitlines()[-1])
    assert (found["plugin"], found["errors"]) == ("@ovsam/curation", [])
    assert sorted(found["operators"]) == sorted(declared())
    assert Path(found["folder"]).is_relative_to(tmp_path / "plugins")
    assert Path(found["package"]).parent == Path(found["folder"]) / "ovsam_plugin"


REGISTER = """
import json, sys
import fiftyone.zoo as foz
import numpy as np
from PIL import Image

foz.register_zoo_model_source(sys.argv[1])
names = foz.list_zoo_models(source=sys.argv[1])
model = foz.load_zoo_model(
    "ovsam-lite", vocabulary="cat, cup", device="cpu", points_per_side=4
)
answer = model.predict(np.asarray(Image.open(sys.argv[2])))
import ovsam_plugin
best = max(answer.detections, key=lambda label: label.confidence)
print(json.dumps(dict(models=names, best=best.label, package=ovsam_plugin.__file__)))
"""


def test_the_archive_is_a_source_of_models_for_fiftyone_s_zoo(
    bare: Path, address: str, tmp_path: Path, photographs: dict[str, Path]
) -> None:
    photograph = str(photographs["chelsea.png"])
    output = said(bare, "python", "-c", REGISTER, address, photograph)
    found = json.loads(output.splitlines()[-1])
    listing = json.loads((ROOT / "manifest.json").read_text())
    assert found["models"] == sorted(model["base_name"] for model in listing["models"])
    assert found["best"] == "cat"
    assert Path(found["package"]).is_relative_to(tmp_path / "zoo")


def test_the_wheel_in_an_environment_of_its_own_gives_the_command_and_the_app_s_plugin(
    bare: Path, wheel: Path, tmp_path: Path
) -> None:
    said(bare, "python", *INSTALL, str(wheel))
    installed = json.loads(said(bare, "ovsam", "app", "install", "--json"))
    assert installed == {"folder": str(tmp_path / "plugins" / "fiftyone-ovsam")}
    assert (tmp_path / "plugins" / "fiftyone-ovsam").resolve().is_relative_to(bare)
    findings = {
        each["subject"]: each for each in json.loads(said(bare, "ovsam", "doctor", "--json"))
    }
    assert not [each for each in findings.values() if each["state"] == "bad"]
    here = f"{len(declared())} operators and panels from {installed['folder']}"
    assert findings["App"]["found"] == here


def declared() -> list[str]:
    """The operators and panels that fiftyone.yml lists."""
    definition = yaml.safe_load((ROOT / "fiftyone.yml").read_text())
    return [*definition["operators"], *definition["panels"]]
