"""What `ovsam doctor` finds, each thing broken once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import fiftyone as fo
import pytest

from ovsam_plugin import health
from ovsam_plugin.dataset import database
from ovsam_plugin.health import Finding, examine


def found(subject: str) -> Finding:
    (finding,) = [finding for finding in examine() if finding.subject == subject]
    return finding


def test_nothing_that_labelling_needs_is_wrong_here() -> None:
    findings = list(examine(debug=True))
    assert [f for f in findings if f.state == "bad"] == []
    subjects = [f.subject for f in findings]
    assert subjects[:4] == ["Python", "torch", "device", "precision"]
    assert {"database", "cache", "ovsam-lite", "App", "delegated runs"} <= set(subjects)
    assert found("database").found.startswith("MongoDB ")


def test_a_database_that_does_not_answer_is_bad_and_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse() -> list[str]:
        raise ConnectionError("no answer on port 1")

    monkeypatch.setattr(database.fo, "list_datasets", refuse)
    finding = found("database")
    assert finding.state == "bad"
    assert "no answer on port 1" in finding.mend
    assert "FIFTYONE_DATABASE_URI" in finding.mend


def test_a_look_that_fails_costs_that_look_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Iterator[Finding]:
        raise OSError("no such device\nmore lines")

    looks = {"first": broken, "Python": health._python}
    monkeypatch.setattr(health, "_LOOKS", looks)
    first, second = examine()
    assert (first.state, first.found) == ("bad", "no such device")
    assert second.subject == "Python"
    with pytest.raises(OSError, match="no such device"):
        list(examine(debug=True))


def test_a_cache_that_cannot_be_written_is_doubtful(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("OVSAM_CACHE_DIR", str(tmp_path / "file" / "cache"))
    finding = found("cache")
    assert finding.state == "doubtful"
    assert "OVSAM_CACHE_DIR" in finding.mend


def test_a_disk_that_is_nearly_full_is_doubtful(monkeypatch: pytest.MonkeyPatch) -> None:
    little = SimpleNamespace(free=health.LITTLE_SPACE - 1)
    monkeypatch.setattr(health.shutil, "disk_usage", lambda path: little)
    assert found("cache").state == "doubtful"


def test_an_app_without_the_plugin_is_told_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(fo.config, "plugins_dir", str(tmp_path))
    finding = found("App")
    assert finding.state == "doubtful"
    assert finding.mend == "`ovsam app install`"


def test_weights_that_are_damaged_are_bad(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from ovsam_plugin.checkpoints import preset_weights

    damaged = tmp_path / "ovsam-lite.safetensors"
    damaged.write_bytes(b"no weights")
    monkeypatch.setattr(preset_weights, "weights_path", lambda preset: damaged)
    finding = found("weights")
    assert finding.state == "bad"
    assert str(damaged) in finding.found
