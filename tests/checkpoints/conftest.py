"""A store of the test's own, and the tiny published set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ovsam_plugin.presets import Preset
from tests.checkpoints import layout
from tests.checkpoints.server import Server, serve


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty store, and nobody's consent to anything."""
    monkeypatch.setenv("OVSAM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("OVSAM_ACCEPT_LICENCE", raising=False)
    monkeypatch.delenv("OVSAM_MIRROR", raising=False)
    return tmp_path / "cache" / "weights"


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Preset:
    """A preset with every part of the published ones, small."""
    layout.register_tiny_clip(tmp_path_factory.mktemp("open_clip"))
    return layout.preset_of(layout.TINY)


@pytest.fixture(scope="session")
def tiny_files(tiny: Preset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its published files; read only."""
    folder = tmp_path_factory.mktemp("tiny")
    assert tiny.release is not None
    layout.write_set(folder, tiny.network, tiny.release)
    return folder


@pytest.fixture
def server(tiny_files: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A mirror of them on this machine, and the only one that is asked."""
    with serve(tiny_files) as running:
        monkeypatch.setenv("OVSAM_MIRROR", running.address)
        yield running
