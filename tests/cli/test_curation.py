"""`ovsam search`, `relabel` and `score` as a user runs them."""

from __future__ import annotations

import fiftyone as fo
from typer.testing import CliRunner

from ovsam_plugin.cli.app import app


def test_search_lists_what_fits_and_keeps_it_as_a_view(labelled: fo.Dataset) -> None:
    done = CliRunner().invoke(
        app, ["search", labelled.name, "a cat", "-k", "3", "--save-view", "cats"]
    )
    assert done.exit_code == 0, done.output
    assert "chelsea.png" in done.output
    labelled.reload()
    assert len(labelled.load_saved_view("cats")) == 3


def test_relabel_says_what_changed(labelled: fo.Dataset) -> None:
    names = ["--vocabulary", "tabby cat, coffee", "--into", "again", "--device", "cpu"]
    done = CliRunner().invoke(app, ["relabel", labelled.name, *names])
    assert done.exit_code == 0, done.output
    assert "9 instances named in field 'again'" in done.output
    again = CliRunner().invoke(app, ["relabel", labelled.name, *names])
    assert again.exit_code == 2
    assert "use --overwrite or another field" in again.output


def test_score_counts_what_is_unknown(labelled: fo.Dataset) -> None:
    done = CliRunner().invoke(app, ["score", labelled.name, "--share", "1", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    assert "9 instances scored" in done.output
    assert "9 unknown" in done.output


def test_a_dataset_that_is_not_there_is_a_clear_error(labelled: fo.Dataset) -> None:
    done = CliRunner().invoke(app, ["search", labelled.name + "x", "a cat"])
    assert done.exit_code == 2
    assert f"there is no dataset '{labelled.name}x'; there are '{labelled.name}'" in done.output
