"""`ovsam app open` and `ovsam app install`."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path
from urllib.request import urlopen

import fiftyone as fo
import pytest

from ovsam_plugin.app import plugin_folder
from tests.cli.calling import run, told
from tests.conftest import ROOT


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty plugins folder."""
    monkeypatch.setattr(fo.config, "plugins_dir", str(tmp_path / "plugins"))
    return tmp_path / "plugins"


def test_the_plugin_is_put_where_fiftyone_finds_it(plugins: Path) -> None:
    installed = told("app", "install")
    assert installed == {"folder": str(plugins / "fiftyone-ovsam")}
    assert plugin_folder.installed_in() == plugins / "fiftyone-ovsam"
    assert str(plugins / "fiftyone-ovsam") in run("app", "install")


def test_what_is_in_the_way_is_told_and_kept(plugins: Path) -> None:
    (plugins / "fiftyone-ovsam").mkdir(parents=True)
    (plugins / "fiftyone-ovsam" / "notes.txt").write_text("mine")
    assert "exists and is not a plugin" in run("app", "install", code=1)
    assert (plugins / "fiftyone-ovsam" / "notes.txt").read_text() == "mine"


def test_a_dataset_that_is_not_there_is_an_error_of_usage() -> None:
    assert "there is no dataset 'no-such-dataset'" in run("app", "open", "no-such-dataset", code=2)


def test_the_app_says_in_one_object_where_it_is_and_serves_until_it_is_stopped(
    dataset: fo.Dataset,
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "ovsam_plugin.cli", "app", "open", dataset.name]
    command += ["--port", str(port), "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "BROWSER": "true"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    # Where tests run in the background, what they start would not hear Ctrl-C.
    hearing = partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(
        command, env=environment, text=True, preexec_fn=hearing, **pipes
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            # The words come after the object: what is there by then is all of it.
            said = process.stderr.readline()
            while said and "Ctrl-C closes it" not in said:
                said = process.stderr.readline()
            printed = ""
            while "}" not in printed:
                printed += process.stdout.readline()
            up = json.loads(printed)
            where = f"http://localhost:{port}/datasets/{dataset.name}"
            assert up == {"address": where, "dataset": dataset.name}
            with urlopen(up["address"], timeout=20) as page:
                assert b"<title>FiftyOne" in page.read()
        finally:
            process.send_signal(signal.SIGINT)
        try:
            rest, words = process.communicate(timeout=60)
        finally:
            process.kill()
        assert (process.returncode, rest) == (130, "")
        assert "the App is closed" in words
