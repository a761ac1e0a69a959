"""`ovsam encode`."""

from __future__ import annotations

from pathlib import Path

import fiftyone as fo
import pytest

from tests.cli.calling import run, told


@pytest.fixture
def encodings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the test's own for what is encoded."""
    folder = tmp_path / "encodings"
    for module in ("interactive.shared_network", "curation.encoding"):
        monkeypatch.setattr(f"ovsam_plugin.{module}.encodings_directory", lambda: folder)
    return folder


def test_what_was_done_and_what_could_not_be_is_told(dataset: fo.Dataset, encodings: Path) -> None:
    broken = dataset.first().filepath
    Path(broken).write_bytes(b"damaged")
    made = told("encode", dataset.name, "--device", "cpu")
    assert (made["encoded"], made["kept"], list(made["failed"])) == (2, 0, [broken])
    assert made["bytes"] == sum(path.stat().st_size for path in encodings.iterdir())
    again = run("encode", dataset.name, "--device", "cpu", "--most-gigabytes", 0.001)
    assert "0 photographs encoded, 2 already were" in again
    assert f"not encoded: {broken}" in again


def test_where_no_photograph_can_be_read_the_command_fails(
    dataset: fo.Dataset, encodings: Path
) -> None:
    for path in dataset.values("filepath"):
        Path(path).write_bytes(b"damaged")
    assert len(told("encode", dataset.name, "--device", "cpu", code=1)["failed"]) == 3


def test_a_dataset_that_is_not_there_is_an_error_of_usage() -> None:
    assert "there is no dataset" in run("encode", "no-such-dataset", code=2)
