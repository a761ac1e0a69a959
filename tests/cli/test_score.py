"""`ovsam score`."""

from __future__ import annotations

import fiftyone as fo

from tests.cli.calling import run, told


def test_what_is_unknown_is_counted(named: fo.Dataset) -> None:
    output = run("score", named.name, "--share", 1, "--device", "cpu")
    assert "9 instances scored" in output
    assert "9 unknown" in output


def test_scripts_get_the_counts_of_what_was_written(named: fo.Dataset) -> None:
    summary = told("score", named.name, "--device", "cpu")
    assert summary["instances"] == 9
    named.reload()
    unknown = named.count_values("ovsam.detections.unknown").get(True, 0)
    assert summary["unknown"] == unknown
    assert all(doubt is not None for doubt in named.values("ovsam.detections.doubt", unwind=True))
