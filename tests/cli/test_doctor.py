"""`ovsam doctor`."""

from __future__ import annotations

from pathlib import Path

import fiftyone as fo
import pytest

from ovsam_plugin.checkpoints import preset_weights
from ovsam_plugin.dataset import database
from tests.cli.calling import run, told


def test_on_a_sound_machine_all_is_told_and_the_command_succeeds() -> None:
    findings = told("doctor")
    assert {frozenset(finding) for finding in findings} == {
        frozenset({"subject", "state", "found", "mend"})
    }
    assert {finding["state"] for finding in findings} <= {"good", "doubtful"}
    states = {finding["subject"]: finding["state"] for finding in findings}
    assert states["database"] == states["ovsam-lite"] == states["App"] == "good"
    output = run("doctor")
    assert all(finding["subject"] in output for finding in findings)


def test_what_labelling_needs_and_is_broken_makes_the_command_fail(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    damaged = tmp_path / "ovsam-lite.safetensors"
    damaged.write_bytes(b"no weights")
    monkeypatch.setattr(preset_weights, "weights_path", lambda preset: damaged)
    findings = told("doctor", code=1)
    (bad,) = [finding for finding in findings if finding["state"] == "bad"]
    assert bad["subject"] == "weights"
    assert str(damaged) in bad["found"]
    assert "bad" in run("doctor", code=1)


def test_a_database_that_does_not_answer_makes_it_fail_and_is_told_with_its_mend(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse() -> list[str]:
        raise ConnectionError("no answer on port 1")

    monkeypatch.setattr(database.fo, "list_datasets", refuse)
    (bad,) = [each for each in told("doctor", code=1) if each["subject"] == "database"]
    assert bad["state"] == "bad"
    assert "FIFTYONE_DATABASE_URI" in bad["mend"]


def test_what_only_later_may_fail_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(fo.config, "plugins_dir", str(tmp_path))
    (finding,) = [each for each in told("doctor") if each["subject"] == "App"]
    assert (finding["state"], finding["mend"]) == ("doubtful", "`ovsam app install`")
