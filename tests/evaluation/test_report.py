"""Tables, JSON and pages of an evaluation whose figures are known."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from PIL import Image

from ovsam_plugin.evaluation.figures import figures, to_json
from ovsam_plugin.evaluation.report import write_report
from ovsam_plugin.evaluation.results import Evaluated


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
    evaluated = replace(evaluated, asked=asked, notes=("a mug & a cup are one",))
    content = to_json(evaluated, figures(evaluated))
    assert (content["asked"], content["notes"]) == (asked, ["a mug & a cup are one"])
    page = write_report(evaluated, tmp_path).read_text(encoding="utf-8")
    assert "<li>annotations: gt &amp; more.json</li>" in page
    assert "<p>a mug &amp; a cup are one</p>" in page
    markdown = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "\n\na mug & a cup are one\n\n" in markdown
    assert "\n- preset: ovsam-lite\n- annotations: gt & more.json\n\n## 6 instances" in markdown
    for protocol, said in (("box", "answers to true prompts"), ("everything", "none takes")):
        asked_so = replace(evaluated, protocol=protocol, min_iou=0.9)  # type: ignore[arg-type]
        write_report(asked_so, tmp_path)
        assert said in (text := (tmp_path / "report.md").read_text(encoding="utf-8"))
        assert ("if their IoU is at least 0.9" in text) == (protocol == "everything")


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
