"""Malformed files and forms; `benchmarks/fuzz.py` has more of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import fuzz, fuzz_labels

CASES = 20
MORE = {"operator_forms": 40, "imports": 12}


@pytest.fixture(scope="module", autouse=True)
def benches() -> Iterator[None]:
    yield
    fuzz_labels.close()


@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_whatever_comes_is_read_or_refused_with_a_reason(kind: str, tmp_path: Path) -> None:
    assert list(fuzz.failures(kind, range(MORE.get(kind, CASES)), 1, tmp_path)) == []


def test_a_crash_would_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(chance: fuzz.Chance, folder: Path) -> None:
        raise KeyError("image_id") if chance.random() < 0.5 else ValueError("")

    monkeypatch.setitem(fuzz.KINDS, "images", crash)
    found = list(fuzz.failures("images", range(CASES), 1, tmp_path))
    assert len(found) == CASES
    assert {"KeyError" in each.what for each in found} == {True, False}


def test_a_label_that_is_lost_or_changed_would_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def careless(dataset: Any, *args: Any, **kwargs: Any) -> None:
        first = dataset.first()
        first["truth"].detections.pop()
        first["ovsam"].detections[0].label = "other"
        first.save()
        raise ValueError("it cannot be read")

    for name in ("import_labels", "read_annotations"):
        monkeypatch.setattr(fuzz_labels, name, lambda *_, **__: careless(bench.dataset))
    bench = fuzz_labels.workbench(tmp_path / "case")
    (found, again) = fuzz.failures("imports", range(2), 1, tmp_path)
    assert "is gone" in found.what
    assert ": label" in found.what
    assert "is gone" in again.what  # what the first one took was there again


def test_a_slip_of_ours_is_no_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slip(*_: Any) -> None:
        int("forty")

    kinds = {each().name: each for each in fuzz_labels.operators.OPERATORS}
    for kind in kinds.values():
        monkeypatch.setattr(kind, "execute", slip)
    found = list(fuzz.failures("operator_forms", range(5), 1, tmp_path))
    assert found
    assert all("invalid literal" in each.what for each in found)
