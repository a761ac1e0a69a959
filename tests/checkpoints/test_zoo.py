"""`fiftyone zoo models download` of a published preset, from a real server."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import fiftyone as fo
import fiftyone.zoo as foz
import open_clip
import pytest
import torch

from ovsam_plugin.checkpoints import licence, store
from ovsam_plugin.dataset.labeler_cache import _predictor
from ovsam_plugin.dataset.model import OvsamModel
from ovsam_plugin.dataset.zoo_source import install
from ovsam_plugin.presets import PRESETS, Preset
from tests.checkpoints.server import Server


@pytest.fixture(autouse=True)
def preset(
    tiny: Preset, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Preset]:
    """The tiny preset under its published name, with a text tower on this machine; an empty zoo."""
    clip = open_clip.create_model("tiny-resnet", pretrained=None)
    torch.save(clip.state_dict(), tmp_path / "clip.pt")
    tiny = replace(tiny, text_tower=f"openclip:tiny-resnet/{tmp_path / 'clip.pt'}")
    (tmp_path / "zoo").mkdir()
    monkeypatch.setattr(fo.config, "model_zoo_dir", str(tmp_path / "zoo"))
    monkeypatch.setitem(PRESETS, tiny.name, tiny)
    install()
    yield tiny
    _predictor.cache_clear()


def load(preset: Preset, **options: object) -> OvsamModel:
    model = foz.load_zoo_model(
        preset.name, vocabulary="cat, cup", device="cpu", cache=False, **options
    )
    assert isinstance(model, OvsamModel)
    return model


def test_a_model_whose_licence_is_accepted_is_fetched_by_downloading_alone(
    preset: Preset, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OVSAM_ACCEPT_LICENCE", "1")
    foz.download_zoo_model(preset.name)
    assert store.model_path(preset).is_file()
    assert foz.is_zoo_model_downloaded(preset.name)
    asked = len(server.requests)
    assert asked
    load(preset)
    assert len(server.requests) == asked


def test_consent_that_was_given_before_will_do(preset: Preset, server: Server) -> None:
    licence.accept(preset.name, store._terms(preset), store.folder(), accepted=True)
    foz.download_zoo_model(preset.name)
    assert store.model_path(preset).is_file()


def test_without_consent_nothing_is_fetched_and_the_next_step_is_said(
    preset: Preset, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    foz.download_zoo_model(preset.name)
    assert server.requests == []
    assert not foz.is_zoo_model_downloaded(preset.name)
    assert f"ovsam weights fetch {preset.name}" in caplog.text
    store.obtain(preset, accepted=True)
    foz.download_zoo_model(preset.name)
    assert foz.is_zoo_model_downloaded(preset.name)


def test_weights_of_ones_own_need_no_download(
    preset: Preset,
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Neither before the licence is accepted, nor after it where no server can be reached."""
    store.obtain(preset, accepted=True)
    own = tmp_path / "own.safetensors"
    shutil.copy(store.model_path(preset), own)
    shutil.rmtree(store.folder() / "parts")
    store.remove(store.model_path(preset))
    (store.folder() / "licences.json").unlink()
    asked = len(server.requests)
    load(preset, weights=own)
    assert len(server.requests) == asked
    monkeypatch.setenv("OVSAM_ACCEPT_LICENCE", "1")
    monkeypatch.setenv("OVSAM_MIRROR", "http://127.0.0.1:1")
    monkeypatch.setattr("ovsam_plugin.checkpoints.fetch.TRIES", 1)
    load(preset, weights=own)
    assert "no connection to 127.0.0.1" in caplog.text
    assert not foz.is_zoo_model_downloaded(preset.name)
    with pytest.raises(FileNotFoundError, match=r"no connection to 127\.0\.0\.1"):
        load(preset)
