"""`ovsam learn`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fiftyone as fo
import pytest

from tests.cli.calling import run, told
from tests.curation.decided_by_hand import decide, make


@pytest.fixture
def made() -> Iterator[fo.Dataset]:
    """A run of which it is known what decisions can teach."""
    dataset = make()
    yield dataset
    dataset.delete()


def test_it_says_what_it_is_worth_and_asks_before_it_writes(
    made: fo.Dataset, tmp_path: Path
) -> None:
    assert "20 are needed" in run("learn", made.name, code=2)
    decide(made, 6)
    call = ("learn", made.name, "--adapter", tmp_path / "learned", "--device", "cpu")
    assert "18 were right before and 24 are now" in run(*call, answer="n\n")
    made.reload()
    assert not made.has_field("ovsam_learned")
    assert "6 have a different name than in 'ovsam', 24 kept" in run(*call, answer="y\n")
    names = ("--vocabulary", "cat, cup, person, spoon", "--into", "again")
    output = run("relabel", made.name, *names, "--adapter", tmp_path / "learned")
    assert "24 instances named in field 'again'" in output
    assert "24 kept the name that a person decided" in output


def test_a_place_for_the_adapter_that_is_a_folder_is_told_before_anything_is_written(
    made: fo.Dataset, tmp_path: Path
) -> None:
    decide(made, 6)
    call = ("learn", made.name, "--yes", "--device", "cpu", "--adapter", tmp_path)
    assert f"--adapter {tmp_path} is a folder: give a file" in run(*call, code=2)
    made.reload()
    assert not made.has_field("ovsam_learned")


def test_scripts_get_what_it_is_worth_and_what_was_written(made: fo.Dataset) -> None:
    decide(made, 6)
    call = ("learn", made.name, "--device", "cpu")
    estimate = told(*call, "--estimate")
    assert (estimate["decisions"], estimate["names"]) == (24, None)
    made.reload()
    assert not made.has_field("ovsam_learned")
    written = told(*call, "--yes")
    assert written["gain"] == estimate["gain"]
    assert (written["names"]["field"], written["names"]["changed"]) == ("ovsam_learned", 6)


def test_a_person_s_labels_are_replaced_by_an_option_of_its_own(made: fo.Dataset) -> None:
    decide(made, 6)
    for sample in made:
        sample["mine"] = fo.Detections(detections=[fo.Detection(bounding_box=[0, 0, 1, 1])])
        sample.save()
    call = ("learn", made.name, "--yes", "--into", "mine", "--device", "cpu")
    assert "or use --overwrite-all" in run(*call, "--overwrite", code=2)
    assert "instances named in field 'mine'" in run(*call, "--overwrite-all")
