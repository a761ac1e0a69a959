"""Malformed files and forms; `benchmarks/fuzz.py` has more of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import fuzz

CASES = 20


@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_whatever_comes_is_read_or_refused_with_a_reason(kind: str, tmp_path: Path) -> None:
    assert list(fuzz.failures(kind, range(CASES), 1, tmp_path)) == []


def test_a_crash_would_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(chance: fuzz.Chance, folder: Path) -> None:
        raise KeyError("image_id") if chance.random() < 0.5 else ValueError("")

    monkeypatch.setitem(fuzz.KINDS, "images", crash)
    found = list(fuzz.failures("images", range(CASES), 1, tmp_path))
    assert len(found) == CASES
    assert {"KeyError" in each.what for each in found} == {True, False}
