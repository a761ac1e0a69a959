"""`ovsam search`, `relabel` and `score` as a user runs them."""

from __future__ import annotations

from pathlib import Path

import fiftyone as fo
from typer.testing import CliRunner

from ovsam_plugin.cli.app import app
from tests.curation.decided_by_hand import decide, make


def test_search_lists_what_fits_and_keeps_it_as_a_view(named: fo.Dataset) -> None:
    done = CliRunner().invoke(
        app, ["search", named.name, "a cat", "-k", "3", "--save-view", "cats"]
    )
    assert done.exit_code == 0, done.output
    assert "chelsea.png" in done.output
    named.reload()
    assert len(named.load_saved_view("cats")) == 3


def test_relabel_says_what_changed(named: fo.Dataset) -> None:
    names = ["--vocabulary", "tabby cat, coffee", "--into", "again", "--device", "cpu"]
    done = CliRunner().invoke(app, ["relabel", named.name, *names])
    assert done.exit_code == 0, done.output
    assert "9 instances named in field 'again'" in done.output
    again = CliRunner().invoke(app, ["relabel", named.name, *names])
    assert again.exit_code == 2
    assert "use --overwrite or another field" in again.output


def test_a_person_s_labels_are_replaced_by_an_option_of_its_own(named: fo.Dataset) -> None:
    names = ["--vocabulary", "tabby cat, coffee", "--into", "asks", "--device", "cpu"]
    refused = CliRunner().invoke(app, ["relabel", named.name, *names, "--overwrite"])
    assert refused.exit_code == 2
    assert "9 labels that no run of ours made" in refused.output
    assert "consent with --overwrite-all" in refused.output
    assert named.values("asks.detections.label", unwind=True) == ["thing"] * 9
    done = CliRunner().invoke(app, ["relabel", named.name, *names, "--overwrite-all"])
    assert done.exit_code == 0, done.output
    assert "9 instances named in field 'asks'" in done.output


def test_score_counts_what_is_unknown(named: fo.Dataset) -> None:
    done = CliRunner().invoke(app, ["score", named.name, "--share", "1", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    assert "9 instances scored" in done.output
    assert "9 unknown" in done.output


def test_a_dataset_that_is_not_there_is_a_clear_error(named: fo.Dataset) -> None:
    done = CliRunner().invoke(app, ["search", named.name + "x", "a cat"])
    assert done.exit_code == 2
    assert f"there is no dataset '{named.name}x'; there are '{named.name}'" in done.output


def test_learn_says_what_it_is_worth_and_asks_before_it_writes(tmp_path: Path) -> None:
    made = make()
    try:
        few = CliRunner().invoke(app, ["learn", made.name])
        assert few.exit_code == 2
        assert "20 are needed" in few.output
        decide(made, 6)
        asked = ["learn", made.name, "--adapter", str(tmp_path / "learned"), "--device", "cpu"]
        no = CliRunner().invoke(app, asked, input="n\n")
        assert no.exit_code == 0, no.output
        assert "18 were right before and 24 are now" in no.output
        made.reload()
        assert not made.has_field("ovsam_learned")
        yes = CliRunner().invoke(app, asked, input="y\n")
        assert yes.exit_code == 0, yes.output
        assert "6 have another name than in 'ovsam', 24 kept" in yes.output
        names = ["--vocabulary", "cat, cup, person, spoon", "--into", "again", "--adapter"]
        done = CliRunner().invoke(app, ["relabel", made.name, *names, str(tmp_path / "learned")])
        assert done.exit_code == 0, done.output
        assert "24 instances named in field 'again'" in done.output
        assert "24 kept the name that a person decided" in done.output
    finally:
        made.delete()
