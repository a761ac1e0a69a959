"""Tables, JSON and pages of an evaluation whose figures are known."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from ovsam_plugin.evaluation.figures import compared, figures, percent, tables, to_json
from ovsam_plugin.evaluation.report import write_report
from ovsam_plugin.evaluation.results import Evaluated
from ovsam_plugin.evaluation.splits import apply_split
from ovsam_plugin.vocabulary.sources import load_vocabulary
from tests.evaluation.conftest import Annotate, Painter
from tests.evaluation.test_run import evaluate

COCO = apply_split(load_vocabulary("coco"), "coco-48-17")


@pytest.fixture
def evaluated(images: list[Path], annotate: Annotate) -> Evaluated:
    return evaluate(annotate(), images, vocabulary=COCO, method=Painter(COCO, "cat"))


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


def test_the_report_is_pages_with_their_pictures(evaluated: Evaluated, tmp_path: Path) -> None:
    page = write_report(evaluated, tmp_path / "report")
    assert page == tmp_path / "report" / "report.html"
    markdown = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert "| painter | 100.0 | 100.0 | 0.0 | 50.0 | 33.3 |" in markdown
    linked = re.findall(r"\]\((.+?)\)", markdown)
    assert {"0-size.png", "0-reliability.png", "0-classes.png", "0-confusions.png"} < set(linked)
    for name in linked:
        with Image.open(tmp_path / "report" / name) as picture:
            assert min(picture.size) > 100
    text = page.read_text(encoding="utf-8")
    assert text.count("data:image/") == len(linked)
    assert not re.findall(r'(?:src|href)="(?!data:)', text)
    assert "<td>33.3</td>" in text


def test_files_say_what_was_asked(evaluated: Evaluated, tmp_path: Path) -> None:
    asked = {"preset": "ovsam-lite", "annotations": "gt & more.json"}
    evaluated = replace(evaluated, asked=asked)
    assert to_json(evaluated, figures(evaluated))["asked"] == asked
    page = write_report(evaluated, tmp_path).read_text(encoding="utf-8")
    assert "<li>annotations: gt &amp; more.json</li>" in page
    markdown = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "\n- preset: ovsam-lite\n- annotations: gt & more.json\n\n## 6 instances" in markdown
    for protocol, said in (("box", "answers to true prompts"), ("everything", "none takes")):
        write_report(replace(evaluated, protocol=protocol), tmp_path)  # type: ignore[arg-type]
        assert said in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_names_and_problems_cannot_break_the_page(evaluated: Evaluated, tmp_path: Path) -> None:
    (method,) = evaluated.methods
    nasty = replace(
        evaluated,
        methods=(replace(method, name="<b>|x"),),
        problems=("<script>alert(1)</script>",) * 60,
    )
    page = write_report(nasty, tmp_path)
    assert "<script>" not in page.read_text(encoding="utf-8")
    assert "<b>" not in page.read_text(encoding="utf-8")
    assert "and 10 more" in page.read_text(encoding="utf-8")
    assert "\\|x" in (tmp_path / "report.md").read_text(encoding="utf-8")
