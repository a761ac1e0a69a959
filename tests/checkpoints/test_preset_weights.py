from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ovsam_plugin.checkpoints.preset_weights import SHIPPED, file_sha256, load_network, weights_path
from ovsam_plugin.presets import get_preset

LITE = get_preset("ovsam-lite")


def test_the_shipped_weights_load_into_a_network_in_full_precision() -> None:
    network, digest = load_network(LITE)
    assert digest == file_sha256(weights_path(LITE))
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert not network.training
    assert all(torch.isfinite(p).all() for p in network.parameters())


def test_the_shipped_weights_are_small_enough_to_ship() -> None:
    assert weights_path(LITE).stat().st_size < 25e6


def test_published_weights_that_are_not_here_are_said_to_be_so_with_their_licence() -> None:
    with pytest.raises(FileNotFoundError) as missing:
        weights_path(get_preset("ovsam-rn50x16-lvis"))
    assert "not on this machine" in str(missing.value)
    assert "S-Lab License 1.0, which allows\n  non-commercial use only" in str(missing.value)
    assert "ovsam weights fetch ovsam-rn50x16-lvis" in str(missing.value)


def test_a_missing_shipped_file_says_what_to_do() -> None:
    with pytest.raises(FileNotFoundError, match="install"):
        weights_path(replace(LITE, weights_file="gone.safetensors"))


def test_a_path_without_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere.safetensors"):
        load_network(LITE, tmp_path / "nowhere.safetensors")


@pytest.mark.parametrize("damage", ["truncated", "noise", "pickle", "empty"])
def test_a_damaged_file_is_refused_and_no_code_of_it_runs(tmp_path: Path, damage: str) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return Path.touch, (tmp_path / "exploded",)

    whole = (SHIPPED / "ovsam-lite.safetensors").read_bytes()
    content = {
        "truncated": whole[: len(whole) // 2],
        "noise": bytes(1000),
        "pickle": pickle.dumps(Bomb()),
        "empty": b"",
    }[damage]
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="bad.safetensors is not a valid safetensors file"):
        load_network(LITE, path)
    assert not (tmp_path / "exploded").exists()


def test_keys_that_do_not_fit_are_listed_by_kind(tmp_path: Path) -> None:
    state = load_file(SHIPPED / "ovsam-lite.safetensors")
    state["neck.extra"] = torch.zeros(1)
    del state["neck.level_encoding.weight"]
    state["pe.no_mask_embed.weight"] = torch.zeros(1, 7)
    path = tmp_path / "other.safetensors"
    save_file(state, path)
    with pytest.raises(ValueError) as refused:
        load_network(LITE, path)
    assert "1 missing: neck.level_encoding.weight" in str(refused.value)
    assert "1 not expected: neck.extra" in str(refused.value)
    assert "1 of another shape: pe.no_mask_embed.weight" in str(refused.value)
