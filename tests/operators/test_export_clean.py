"""The operator `export_clean`, through FiftyOne's own executor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone.operators.executor import ExecutionContext, ExecutionError
from pycocotools.coco import COCO

from ovsam_plugin.curation.decisions import accept

from .asking import questions

URI = "@ovsam/curation/export_clean"
FIELD = "ovsam"


def form(dataset: fo.Dataset, **params: Any) -> dict[str, Any]:
    return questions("export_clean", dataset, params=params)


def test_the_operator_writes_what_was_reviewed(
    labelled: fo.Dataset, ids: dict[str, str], tmp_path: Path
) -> None:
    accept(labelled, FIELD, ids["cat"])
    path = tmp_path / "clean.json"
    params = {"field": FIELD, "path": str(path), "undecided_above": 0.6, "half_reviewed": True}
    result = foo.execute_operator(URI, {"dataset": labelled, "params": params})
    assert result.error is None
    assert result.result["instances"] == 3
    assert len(COCO(str(path)).getAnnIds()) == 3
    operator = foo.get_operator(URI)
    operator(
        labelled.limit(1),
        field=FIELD,
        path=str(tmp_path / "one.json"),
        format="lvis",
        half_reviewed=True,
    )
    assert (tmp_path / "one.json").is_file()


def test_a_file_that_exists_is_replaced_by_a_box_that_the_error_names(
    labelled: fo.Dataset, ids: dict[str, str], tmp_path: Path
) -> None:
    accept(labelled, FIELD, ids["cat"])
    (tmp_path / "a.json").write_text("{}")
    asked = {"field": FIELD, "path": str(tmp_path / "a.json"), "half_reviewed": True}
    with pytest.raises(ExecutionError, match='another path, or tick "Replace existing files"'):
        foo.execute_operator(URI, {"dataset": labelled, "params": asked})
    assert (tmp_path / "a.json").read_text() == "{}"


def test_the_form_tells_how_far_the_review_is(labelled: fo.Dataset, ids: dict[str, str]) -> None:
    accept(labelled, FIELD, ids["cat"])
    shown = form(labelled)
    assert "1 accepted, 0 renamed, 0 rejected, 5 undecided" in str(shown["counts"])
    assert "finish one, or tick this" in shown["half_reviewed"]["error_message"]
    assert shown["field"]["default"] == FIELD
    assert "folder" in form(labelled, format="fiftyone")["path"]["view"]["description"]


def test_a_dataset_without_instances_is_said_in_the_form(dataset: fo.Dataset) -> None:
    assert form(dataset)["field"]["invalid"]
    assert "with Label" in form(dataset)["field"]["error_message"]


@pytest.mark.parametrize("half_reviewed", [False, True])
def test_the_form_counts_what_the_export_will_hold(
    labelled: fo.Dataset, ids: dict[str, str], tmp_path: Path, half_reviewed: bool
) -> None:
    accept(labelled, FIELD, [ids["cat"], ids["cup2"], ids["spoon"]])
    shown = str(form(labelled, half_reviewed=half_reviewed)["counts"])
    held = (3, 2, 0) if half_reviewed else (2, 1, 1)
    where = "2 photographs" if half_reviewed else "1 photograph"
    assert f"hold {held[0]} instances on {where}." in shown
    assert ("1 half-reviewed photograph left out" in shown) == (not half_reviewed)
    params = {"field": FIELD, "path": str(tmp_path / "a.json"), "half_reviewed": half_reviewed}
    found = foo.execute_operator(URI, {"dataset": labelled, "params": params}).result
    assert (found["instances"], found["images"], found["half_reviewed"]) == held


def test_the_field_that_the_form_shows_is_exported_and_the_whole_path_told(
    labelled: fo.Dataset,
    ids: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    accept(labelled, FIELD, ids["cat"])
    monkeypatch.chdir(tmp_path)
    params = {"path": "clean.json", "half_reviewed": True}
    found = foo.execute_operator(URI, {"dataset": labelled, "params": params})
    assert found.error is None, found.error
    assert found.result["path"] == str(tmp_path / "clean.json")


def test_of_a_grid_of_patches_those_instances_are_exported(
    labelled: fo.Dataset, ids: dict[str, str], tmp_path: Path
) -> None:
    accept(labelled, FIELD, [ids["cat"], ids["cup2"], ids["spoon"]])
    patches = labelled.to_patches(FIELD).match(fo.ViewField(f"{FIELD}.label").is_in(["cat", "cup"]))
    params = {"path": str(tmp_path / "a.json"), "half_reviewed": True}
    shown = questions("export_clean", labelled, view=patches._serialize(), params=params)
    assert "hold 2 instances on 2 photographs" in str(shown["counts"])
    assert not any(question["invalid"] for question in shown.values())
    found = foo.execute_operator(URI, {"view": patches, "params": params})
    assert found.error is None, found.error
    assert (found.result["instances"], found.result["images"]) == (2, 2)
    shown = questions("export_clean", labelled, view=patches._serialize(), params={"field": "x"})
    assert "shows patches of 'ovsam'" in shown["field"]["error_message"]


def test_only_what_happened_is_told() -> None:
    operator = foo.get_operator(URI)
    told = {"path": "/a.json", "images": 1, "left_out": "", "cut": "cat.jpg"}
    outcome = operator.resolve_output(ExecutionContext({"results": told}, operator_uri=URI))
    shown = outcome.to_json()["type"]["properties"]
    assert "cut" in shown
    assert "left_out" not in shown
