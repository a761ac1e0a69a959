"""Consent to a licence."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ovsam_plugin.checkpoints import licence

from .test_record import THREADS, at_once

pytestmark = pytest.mark.usefixtures("store")  # no test here touches another


class Terminal:
    """Standard input with somebody at it."""

    def __init__(self, answer: str) -> None:
        self.answer = answer

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        return self.answer


@pytest.mark.parametrize("answer", ["y\n", "Yes\n"])
def test_consent_is_asked_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: str
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    licence.accept("x", "the terms", tmp_path)
    assert "the terms" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdin", Terminal("no\n"))
    licence.accept("x", "the terms", tmp_path)
    assert capsys.readouterr().err == ""
    with pytest.raises(FileNotFoundError, match="new terms"):
        licence.accept("x", "new terms", tmp_path)


def test_without_a_terminal_nobody_is_asked_and_the_next_step_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FileNotFoundError, match="--accept-licence where.*OVSAM_ACCEPT_LICENCE=1"):
        licence.accept("x", "the terms", tmp_path)
    monkeypatch.setenv("OVSAM_ACCEPT_LICENCE", "1")
    licence.accept("x", "the terms", tmp_path)
    monkeypatch.delenv("OVSAM_ACCEPT_LICENCE")
    licence.accept("x", "the terms", tmp_path)


@pytest.mark.parametrize("content", ["", "no JSON", "[1]", '{"x": 3}'])
def test_a_damaged_record_of_consent_is_none_and_is_made_again(
    tmp_path: Path, content: str
) -> None:
    (tmp_path / "licences.json").write_text(content)
    assert not licence.is_accepted("x", "the terms", tmp_path)
    licence.accept("x", "the terms", tmp_path, accepted=True)
    assert licence.is_accepted("x", "the terms", tmp_path)


def test_no_consent_is_lost_where_many_are_given_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def accept(number: int) -> None:
        for i in range(4):
            licence.accept(f"model-{number}-{i}", "the terms", tmp_path / "new", accepted=True)

    at_once(accept)
    monkeypatch.delenv("OVSAM_ACCEPT_LICENCE", raising=False)
    for number in range(THREADS):
        for i in range(4):
            assert licence.is_accepted(f"model-{number}-{i}", "the terms", tmp_path / "new")
    assert not licence.is_accepted("model-0-0", "other terms", tmp_path / "new")
