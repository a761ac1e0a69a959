"""`ovsam relabel`."""

from __future__ import annotations

import fiftyone as fo

from tests.cli.calling import run, told

NAMES = ("--vocabulary", "tabby cat, coffee", "--device", "cpu")


def test_what_changed_is_said(named: fo.Dataset) -> None:
    call = ("relabel", named.name, *NAMES, "--into", "again")
    assert "9 instances named in field 'again'" in run(*call)
    assert "use another field, or use --overwrite" in run(*call, code=2)


def test_scripts_get_the_counts(named: fo.Dataset) -> None:
    summary = told("relabel", named.name, *NAMES, "--into", "again")
    assert (summary["field"], summary["source"], summary["instances"]) == ("again", "ovsam", 9)
    named.reload()
    before, after = (
        named.values(f"{field}.detections.label", unwind=True) for field in ("ovsam", "again")
    )
    assert summary["changed"] == sum(old != new for old, new in zip(before, after)) > 0


def test_a_person_s_labels_are_replaced_by_an_option_of_its_own(named: fo.Dataset) -> None:
    call = ("relabel", named.name, *NAMES, "--into", "asks")
    refused = run(*call, "--overwrite", code=2)
    assert "9 labels in it, made by no run" in refused
    assert "or use --overwrite-all" in refused
    assert named.values("asks.detections.label", unwind=True) == ["thing"] * 9
    assert "9 instances named in field 'asks'" in run(*call, "--overwrite-all")
