"""`ovsam info`."""

from __future__ import annotations

import pytest

from ovsam_plugin.presets import PRESETS, SAM_PRESETS
from tests.cli.calling import run, told


@pytest.mark.parametrize("preset", ["ovsam-rn50x16-coco", "ovsam-rn50x16-lvis"])
def test_the_papers_parameters_and_what_is_computed_are_counted(preset: str) -> None:
    (total,) = [line for line in run("info", preset).splitlines() if "total" in line]
    assert "304,046,908" in total
    assert "1,105." in total


def test_an_unknown_preset_is_an_error_of_usage() -> None:
    assert "ovsam-lite" in run("info", "ovsam-huge", code=2)


def test_a_preset_is_counted_for_scripts() -> None:
    about = told("info", "ovsam-lite")
    assert about["total"]["parameters"] == sum(part["parameters"] for part in about["parts"]) > 1e7


def test_every_preset_is_in_the_table_with_its_licence() -> None:
    rows = told("info", "presets")
    assert [row["preset"] for row in rows] == [*PRESETS, *SAM_PRESETS]
    assert all(row["licence"] for row in rows)
    assert "fetched when first used" in run("info", "presets")


def test_a_preset_that_draws_with_a_users_checkpoint_says_so() -> None:
    assert "--weights FILE" in run("info", "sam-clip")
    assert told("info", "sam-clip")["namer"] == SAM_PRESETS["sam-clip"].namer
