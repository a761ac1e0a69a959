"""What `ovsam evaluate` refuses, and when."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ovsam_plugin.dataset.importing import import_images
from tests.cli.test_evaluate import run
from tests.evaluation.conftest import Annotate, annotate  # noqa: F401


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give the ground truth"),
        (["--annotations", "a.json", "--gt-field", "truth"], "give the ground truth"),
        (["--gt-field", "truth"], "--field and --gt-field go together"),
        (["--annotations", "gt.json", "--sam", "sam.pth"], "--sam FILE and --clip MODEL/FILE go"),
        (["--field", "a", "--gt-field", "b", "--faithful"], "give one or the other"),
        (["--annotations", "a.json", "--protocol", "boxes"], "unknown protocol 'boxes'"),
        (["--annotations", "a.json", "--protocol", "detector"], "--detections"),
        (["--annotations", "a.json", "--protocol", "everything", "--faithful"], "--faithful is"),
        (["--annotations", "nowhere.json"], "there is no annotation file nowhere.json"),
        (["--annotations", "a.json", "--slice", "tags"], "--compare and --slice are for labels"),
        (["--field", "a", "--gt-field", "b"], "no folder and no dataset"),
    ],
)
def test_a_wrong_call_ends_with_the_reason(arguments: list[str], message: str) -> None:
    result = run("no-such-target", *arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_classes_and_images_that_do_not_fit_end_with_the_reason(
    images: list[Path],
    annotate: Annotate,  # noqa: F811
    tmp_path: Path,
) -> None:
    path = annotate()
    result = run(images[0].parent, "--annotations", path, "--vocabulary", "cat, dog")
    assert result.exit_code == 2
    assert "'cup', 'person'" in result.output
    empty = tmp_path / "empty"
    empty.mkdir()
    result = run(empty, "--annotations", path)
    assert result.exit_code == 2
    assert "another data set" in result.output
    result = run(images[0].parent, "--annotations", path, "--baselines", "magic")
    assert result.exit_code == 2
    assert "unknown method 'magic'" in result.output
    result = run(images[0].parent, "--annotations", path, "--baselines", "sam")
    assert result.exit_code == 2
    assert "SAM's own checkpoint: give --sam FILE and --clip MODEL/FILE" in result.output


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--figures", "{}"], "is a folder"), (["--report", "{}/a.txt"], "is a file: give a folder")],
)
def test_what_cannot_be_written_is_refused_first(
    images: list[Path],
    annotate: Annotate,  # noqa: F811
    tmp_path: Path,
    options: list[str],
    message: str,
) -> None:
    (tmp_path / "a.txt").touch()
    given = [option.format(tmp_path) for option in options]
    result = run(images[0].parent, "--annotations", annotate(), *given)
    assert result.exit_code == 2
    assert message in result.output
    assert "names, methods" not in result.output


def test_a_name_is_the_photographs_that_is_called_so_from_the_datasets_folder(
    images: list[Path],
    annotate: Annotate,  # noqa: F811
    tmp_path: Path,
) -> None:
    for folder in ("im", "im/day2"):
        (tmp_path / folder).mkdir()
        shutil.copy(images[0], tmp_path / folder)
    dataset = import_images(tmp_path / "im")
    result = run(dataset.name, "--annotations", annotate(), "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "1 images, " in result.output
    dataset.delete()


@pytest.mark.parametrize(("protocol", "count"), [("everything", 3), ("box", 2)])
def test_a_photograph_without_annotations_is_background_where_nobody_asks(
    images: list[Path],
    annotate: Annotate,  # noqa: F811
    tmp_path: Path,
    protocol: str,
    count: int,
) -> None:
    def strip(content: dict[str, Any]) -> None:
        content["annotations"] = [a for a in content["annotations"] if a["image_id"] != 2]

    out = tmp_path / "figures.json"
    result = run(
        images[0].parent, "--annotations", annotate(strip), "--protocol", protocol, "--device",
        "cpu", "--figures", out,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert f"{count} images, " in result.output
    figures = json.loads(out.read_text())
    assert figures["images"] == count
    assert [note.split(":")[0] for note in figures["notes"]] == (
        ["1 of the file's 3 images have no annotation"] if protocol == "box" else []
    )
