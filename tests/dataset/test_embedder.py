"""What made a run's embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ovsam_plugin.dataset.embedder import Embedder, check_tower, recorded_as, same_namer
from ovsam_plugin.dataset.zoo_source import ANY_TEXT_MODEL
from ovsam_plugin.namers import NamerSpec
from ovsam_plugin.presets import get_preset
from tests.namers.open_clip_model import write_model


@pytest.fixture(scope="module")
def namer(tmp_path_factory: pytest.TempPathFactory) -> NamerSpec:
    """An open_clip model with random weights, in a file."""
    spec = NamerSpec.of(write_model(tmp_path_factory.mktemp("namer")))
    assert spec is not None
    return spec


def test_of_a_preset_its_weights_tell() -> None:
    made = Embedder.of({"preset": "ovsam-lite", "weights": "w", "namer": None})
    assert made == Embedder("ovsam-lite", "w")
    assert made.side.name == "ovsam-lite"
    assert made.text_model == ("ovsam-lite-text", None)


def test_what_a_run_records_of_its_namer_gives_it_back(namer: NamerSpec) -> None:
    recorded: dict[str, Any] = {"preset": "ovsam-lite", "weights": "w"}
    recorded |= recorded_as(namer, "fingerprint")
    made = Embedder.of(recorded)
    assert (made.name, made.fingerprint) == (namer.name, "fingerprint")
    assert made.cuts == "0.1:0.5, 0.4:1"
    assert made.tower is not None
    assert made.side.text_tower == namer.side.text_tower
    name, settings = made.text_model
    assert name == ANY_TEXT_MODEL
    assert settings == {"namer": namer.name, "fingerprint": made.tower}
    assert Embedder.of({"preset": "x", "weights": "v", **same_namer(recorded)}) == made
    assert recorded_as(None, "fingerprint") == {}


def test_words_of_a_tower_with_other_weights_are_refused(namer: NamerSpec) -> None:
    check_tower(namer.side, None)
    with pytest.raises(
        ValueError, match=r"with other weights than it has now.*name the instances again"
    ):
        check_tower(namer.side, "0" * 64)
    with pytest.raises(ValueError, match="other weights"):
        _ = Embedder(namer.name, "f", tower="0" * 64).side


def test_embeddings_go_together_where_the_same_words_are_read_for_them() -> None:
    lite = Embedder("ovsam-lite", "one")
    assert lite.goes_with(Embedder("ovsam-lite", "two"))
    assert not lite.goes_with(Embedder("ovsam-rn50x16-lvis", "one"))
    clip = Embedder("openclip:RN50/x", "one")
    assert clip.goes_with(Embedder("openclip:RN50/x", "one"))
    assert not clip.goes_with(Embedder("openclip:RN50/x", "two"))
    assert not clip.goes_with(lite)


def test_a_namer_whose_file_is_gone_is_refused(tmp_path: Path) -> None:
    assert get_preset("ovsam-lite").text_tower  # a preset's own is always here
    gone = Embedder(f"openclip:ViT-namer/{tmp_path / 'gone.pt'}", "f")
    with pytest.raises(ValueError):
        _ = gone.side
