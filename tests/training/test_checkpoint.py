from __future__ import annotations

import resource
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ovsam_plugin.training.checkpoint import recorded
from ovsam_plugin.training.loop import run
from tests.training.line import SCHEDULE, Line, exported, quiet, same


class Of(Line):
    """A run of given data."""

    def __init__(self, stop_at: int | None = None, **provenance: Any) -> None:
        super().__init__(stop_at)
        self.provenance = provenance


def test_a_checkpoint_of_another_recipe_or_of_other_parameters_is_refused(
    whole: tuple[Line, Path],
) -> None:
    _, out = whole

    class Curve(Line):
        name = "curve"

    for other in (Curve(), Line(features=5)):
        with pytest.raises(ValueError, match="a checkpoint of line.*or remove it to start again"):
            run(other, out, SCHEDULE, quiet())


@pytest.mark.parametrize("content", [b"", b"not a checkpoint"])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(content)
    with pytest.raises(ValueError, match="not a valid checkpoint: remove it to start again"):
        run(Line(), tmp_path, SCHEDULE, quiet())


def test_a_checkpoint_cut_short_is_refused(whole: tuple[Line, Path]) -> None:
    file = whole[1] / "checkpoint.pt"
    file.write_bytes(file.read_bytes()[:-500])
    with pytest.raises(ValueError, match="not a valid checkpoint"):
        run(Line(), whole[1], SCHEDULE, quiet())


def test_a_disk_that_is_full_is_told_and_the_checkpoint_before_stays(tmp_path: Path) -> None:
    run(Line(), tmp_path, replace(SCHEDULE, steps=3), quiet())
    before = (tmp_path / "checkpoint.pt").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises(OSError, match="the one before stays: is the disk full"):
            run(Line(), tmp_path, SCHEDULE, quiet())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("state", [{}, [1], {"recipe": "line", "step": 1}, torch.zeros(3)])
def test_a_file_of_tensors_that_is_no_checkpoint_is_refused(tmp_path: Path, state: object) -> None:
    torch.save(state, tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match="not a valid checkpoint: remove it to start again"):
        run(Line(), tmp_path, SCHEDULE, quiet())


def test_a_run_goes_on_with_the_data_it_began_with_alone(tmp_path: Path) -> None:
    began = {"settings": {"batch": 2, "workers": 0, "files": ("a.json",)}, "sha256": "12"}
    with pytest.raises(KeyboardInterrupt):
        run(Of(5, **began), tmp_path, SCHEDULE, quiet())
    other = {"settings": {**began["settings"], "batch": 4}, "sha256": "34"}  # type: ignore[dict-item]
    with pytest.raises(ValueError) as caught:
        run(Of(**other), tmp_path, SCHEDULE, quiet())
    assert "is of a run with other settings or data" in str(caught.value)
    assert '(batch was 2 and is 4; sha256 was "12" and is "34"): give those' in str(caught.value)
    # How many processes read is nothing that weights depend on.
    same_data = {**began, "settings": {**began["settings"], "workers": 3}}  # type: ignore[dict-item]
    run(Of(**same_data), tmp_path, SCHEDULE, quiet())
    run(Line(), tmp_path / "whole", SCHEDULE, quiet())
    assert same(exported(tmp_path), exported(tmp_path / "whole"))


def test_settings_are_written_without_the_folders_of_the_machine() -> None:
    @dataclass
    class Settings:
        files: tuple[Any, ...]

    kept = recorded(Settings((Path("/home/me/a.json"), [Path("b"), 3], "x")))
    assert kept == {"files": ["a.json", ["b", 3], "x"]}
