"""`ovsam weights` as a user runs it, on a small published set and a server on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from ovsam_plugin.checkpoints.preset_weights import SHIPPED
from ovsam_plugin.checkpoints.record import file_sha256
from ovsam_plugin.cli.ovsam import app
from ovsam_plugin.presets import PRESETS
from tests.checkpoints import layout
from tests.checkpoints.server import Server, serve
from tests.cli.calling import told

NAME = "ovsam-rn50x16-lvis"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published files; read only."""
    layout.register_tiny_clip(tmp_path_factory.mktemp("open_clip"))
    folder = tmp_path_factory.mktemp("published")
    preset = layout.preset_of(layout.TINY, NAME)
    assert preset.release is not None
    layout.write_set(folder, preset.network, preset.release)
    return folder


@pytest.fixture
def server(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A small model under a published name, an empty store, and nobody's consent."""
    monkeypatch.setitem(PRESETS, NAME, layout.preset_of(layout.TINY, NAME))
    monkeypatch.setenv("OVSAM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("OVSAM_ACCEPT_LICENCE", raising=False)
    with serve(files) as running:
        monkeypatch.setenv("OVSAM_MIRROR", running.address)
        yield running


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["weights", *map(str, arguments)])


def test_nothing_is_fetched_before_the_licence_is_accepted(server: Server) -> None:
    refused = run("fetch", NAME)
    assert refused.exit_code == 1
    assert "S-Lab License 1.0" in refused.output
    assert f"ovsam weights fetch {NAME}" in refused.output
    assert server.requests == []


def test_a_model_is_fetched_listed_verified_found_and_removed(server: Server) -> None:
    assert "not fetched" in run("list").output
    absent = run("path", NAME)
    assert absent.exit_code == 1
    assert f"ovsam weights fetch {NAME} makes it" in absent.output
    fetched = run("fetch", NAME, "--accept-licence")
    assert fetched.exit_code == 0
    path = Path(fetched.output.strip())
    assert run("path", NAME).output == fetched.output
    assert "sam2clip_vith_rn50x16.pth" in run("list").output
    verified = run("verify")
    assert verified.exit_code == 0
    assert f"{file_sha256(path)}  {path}" in verified.output
    assert run("remove", "parts").exit_code == 0
    assert "sam2clip_vith_rn50x16.pth" not in run("list").output
    assert run("remove", NAME).output == f"removed {path}\n"
    assert not path.exists()


def test_scripts_get_the_files_as_json(server: Server, files: Path, tmp_path: Path) -> None:
    fetched = told("weights", "fetch", NAME, "--accept-licence")
    path = Path(fetched["file"])
    assert fetched == told("weights", "path", NAME) == {"preset": NAME, "file": str(path)}
    assert path.is_file()
    sizes = {each["file"]: each["bytes"] for each in told("weights", "list")}
    assert sizes[str(path)] == path.stat().st_size
    sums = {each["file"]: each["sha256"] for each in told("weights", "verify")}
    assert sums[str(path)] == file_sha256(path)
    output = tmp_path / "mine.safetensors"
    made = told("weights", "convert", *files.iterdir(), "--preset", NAME, "--output", output)
    assert made == {"preset": NAME, "file": str(output)}
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    (changed,) = told("weights", "verify", NAME, code=1)
    assert (changed["file"], changed["sha256"]) == (str(path), None)
    assert "has changed" in changed["problem"]
    assert told("weights", "remove", NAME) == {"removed": [str(path)]}


def test_weights_that_are_not_here_have_no_size() -> None:
    listed = told("weights", "list")
    assert {Path(each["file"]).suffix for each in listed} == {".safetensors"}
    assert all(each["bytes"] is None for each in listed)


def test_verify_finds_what_changed(server: Server) -> None:
    path = Path(run("fetch", NAME, "--accept-licence").output.strip())
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    for arguments in (["verify"], ["verify", NAME]):
        refused = run(*arguments)
        assert refused.exit_code == 1
        assert f"{path} has changed" in refused.output


def test_files_from_a_folder_need_no_network(server: Server, files: Path, tmp_path: Path) -> None:
    assert run("fetch", NAME, "--from", files, "--accept-licence").exit_code == 0
    assert server.requests == []
    missing = run("fetch", NAME, "--from", tmp_path / "none", "--accept-licence")
    assert missing.exit_code == 2
    assert "there is no folder" in missing.output


def test_files_of_any_name_are_converted(server: Server, files: Path, tmp_path: Path) -> None:
    output = tmp_path / "mine.safetensors"
    made = run("convert", *files.iterdir(), "--preset", NAME, "--output", output)
    assert made.exit_code == 0
    assert made.output.strip() == str(output)
    assert output.is_file()
    few = run(
        "convert",
        files / "tiny-resnet.pt",
        "--preset",
        NAME,
        "--output",
        tmp_path / "x.safetensors",
    )
    assert few.exit_code == 1
    assert "none of the files holds pe.*" in few.output
    named = run(
        "convert", files / "tiny-resnet.pt", "--preset", NAME, "--output", tmp_path / "x.pt"
    )
    assert named.exit_code == 2
    assert "must end in .safetensors" in named.output


@pytest.mark.parametrize("command", ["fetch", "verify", "remove"])
def test_a_model_that_is_not_published_is_an_error_of_usage(command: str) -> None:
    shipped, unknown = run(command, "ovsam-lite"), run(command, "ovsam-rn50x16")
    assert shipped.exit_code == unknown.exit_code == 2
    assert "come with the package" in shipped.output
    assert "Did you mean" in unknown.output


def test_the_path_of_shipped_weights_is_that_in_the_package() -> None:
    shipped = run("path", "ovsam-lite")
    assert shipped.exit_code == 0, shipped.output
    assert Path(shipped.output.strip()).samefile(SHIPPED / "ovsam-lite.safetensors")
