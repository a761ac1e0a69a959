"""Figures in tables and files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from ovsam_plugin.evaluation.figures import compared, figures, percent, tables, to_json
from ovsam_plugin.evaluation.report import write_report
from ovsam_plugin.evaluation.results import Evaluated
from ovsam_plugin.vocabulary.sources import load_vocabulary
from tests.evaluation.conftest import Annotate, Painter, evaluate


def test_the_table_has_the_columns_of_the_paper(evaluated: Evaluated) -> None:
    main, sizes, precision, errors, intervals = tables(figures(evaluated))
    assert main.header == (
        "method", "IoU_b", "IoU_n", "Acc_b", "Acc_n", "Acc", "GFLOPs", "M params", "s/image"
    )  # fmt: skip
    # Two persons are base and never right; of two cats and two cups, the cats are.
    assert main.rows == (("painter", "100.0", "100.0", "0.0", "50.0", "33.3", "0", "0.0", "0.25"),)
    assert sizes.title == "by size (1 small, 2 medium, 3 large)"
    assert precision.header[:4] == ("method", "AP", "AP50", "AP75")
    # Every mask is right, and four of six names are wrong; so no instance is missed.
    assert errors.header[1] == "wrong name"
    assert [cell.partition(" ")[2] for cell in errors.rows[0][1:]] == ["(4)", *["(0)"] * 5]
    assert intervals.header[1:5] == ("IoU", "Acc", "IoU_b", "Acc_b")
    assert intervals.rows[0][1:5] == (
        "100.0 to 100.0",
        "0.0 to 50.0",
        "100.0 to 100.0",
        "0.0 to 0.0",
    )


def test_answers_that_no_instance_took_are_counted(evaluated: Evaluated) -> None:
    (method,) = evaluated.methods
    (main, *_) = tables(figures(replace(evaluated, methods=(replace(method, surplus=1200),))))
    assert main.header[5:7] == ("Acc", "surplus")
    assert main.rows[0][5:7] == ("33.3", "1,200")


def test_methods_without_names_have_no_accuracy(evaluated: Evaluated) -> None:
    (method,) = evaluated.methods
    alone = replace(evaluated, methods=(replace(method, name="sam", named=False, rows=[]),))
    main, _, intervals = tables(figures(alone))
    assert main.rows[0][:6] == ("sam", "100.0", "100.0", "-", "-", "-")
    assert intervals.header == ("method", "IoU", "IoU_b", "IoU_n")


def test_slices_and_a_second_run_have_their_tables(evaluated: Evaluated, tmp_path: Path) -> None:
    (method,) = evaluated.methods
    answers = method.outcomes
    better = replace(method, name="knowing", outcomes=replace(answers, answer=answers.truth))
    both = replace(
        evaluated,
        methods=(method, better),
        slices={"weather": {"sun": (0, 1), "<rain>": (2,)}},
    )
    found, beside = compared(both)
    named = {table.title: table for table in tables(found, beside)}
    rows = named["by weather"].rows
    assert [row[:5] for row in rows] == [
        ("painter, sun", "2", "4", "100.0", "25.0"),
        ("painter, <rain>", "1", "2", "100.0", "50.0"),
        ("knowing, sun", "2", "4", "100.0", "100.0"),
        ("knowing, <rain>", "1", "2", "100.0", "100.0"),
    ]
    differences = {row[0]: row[1:] for row in named["knowing beside painter"].rows}
    assert differences["Acc"][:3] == ("33.3", "100.0", "+66.7")
    assert differences["IoU"] == ("100.0", "100.0", "+0.0", "+0.0 to +0.0", "1.000")
    assert differences["AP"][2:] == ("+0.0", "+0.0 to +0.0", "-")  # of the same rows
    content = json.loads(json.dumps(to_json(both, found, beside), allow_nan=False))
    assert content["methods"][0]["slices"]["weather"][0]["row"]["instances"] == 4
    assert content["compared"][0]["differences"][1]["figure"] == "Acc"
    page = write_report(both, tmp_path).read_text()
    assert "&lt;rain&gt;" in page
    assert "<rain>" not in page
    assert "knowing beside painter" in page


def test_frequencies_and_federated_precision_have_their_rows(
    images: list[Path], annotate: Annotate
) -> None:
    def lvis(content: dict) -> None:  # type: ignore[type-arg]
        for image in content["images"]:
            image["neg_category_ids"], image["not_exhaustive_category_ids"] = [], []
        for category, frequency in zip(content["categories"], "rcf"):
            category["frequency"] = frequency

    names = load_vocabulary("cat, cup, person")
    found = figures(evaluate(annotate(lvis), images, method=Painter(names, "cat")))
    titles = [table.title for table in tables(found)]
    assert titles[1] == "by frequency (2 rare, 2 common, 2 frequent)"
    assert found[0].frequencies[0].accuracy == 1
    (precision,) = (t for t in tables(found) if t.title == "mask average precision")
    assert precision.header[-3:] == ("APr", "APc", "APf")


def test_the_json_has_every_figure_and_no_nan(evaluated: Evaluated) -> None:
    content = json.loads(json.dumps(to_json(evaluated, figures(evaluated)), allow_nan=False))
    (method,) = content["methods"]
    assert method["splits"]["novel"] == {
        "group": "novel", "instances": 4, "iou": 1.0, "accuracy": 0.5
    }  # fmt: skip
    assert content["images"] == 3
    assert percent(float("nan")) == "-"
