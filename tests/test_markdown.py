"""Hostile names in everything that is read as Markdown: the App's forms, and reports."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone.operators.executor import ExecutionContext
from fiftyone.operators.registry import OperatorRegistry
from hypothesis import assume, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from ovsam_plugin.markdown import Markdown, plain
from tests.curation.run_by_hand import add_run, add_truth

NASTY = "<script>alert(1)</script> ![x](//evil/x) [here](//evil) `a` *b* | c"
_SHOWN = re.compile(r"!\[x|\[here\]\(|(?<!\\)<script|`a`|\*b\*")
# What FiftyOne's App renders as Markdown of any view.
_RENDERED = ("label", "description", "caption")


@given(st.text(alphabet="a_*[]()<>!`#-+=1.|~&;\\ \n", max_size=20) | st.just(NASTY))
def test_text_is_shown_as_it_is(text: str) -> None:
    assume(text.strip() != "-")  # see `plain`
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    tokens = parser.parse(plain(text))
    assert {token.type for token in tokens} <= {"paragraph_open", "inline", "paragraph_close"}
    (line,) = [token for token in tokens if token.type == "inline"] or [None]
    parts = [] if line is None else line.children or []
    assert {part.type for part in parts} <= {"text", "text_special"}
    assert "".join(part.content for part in parts) == " ".join(text.split())


def test_what_is_markdown_stays() -> None:
    assert plain(Markdown("**a**")) == "**a**"
    assert plain("ovsam_boxes, 0.5, a & b") == "ovsam_boxes, 0.5, a & b"


@pytest.fixture
def hostile(dataset: fo.Dataset) -> fo.Dataset:
    """A run, and a person's own field and view, whose names are as bad as they get."""
    add_truth(dataset)
    add_run(dataset)
    for field in ("truth", "ovsam"):
        path = f"{field}.detections.label"
        rows = [[n and f"{n} {NASTY}" for n in row] for row in dataset.values(path)]
        dataset.set_values(path, rows)
    dataset.clone_sample_field("truth", NASTY)
    dataset.set_values("tags", [[NASTY]] * len(dataset))
    dataset.save_view(NASTY, dataset.match_labels(fields="ovsam"))
    return dataset


_TEXTS = ("field", "into", "names", "file", "find", "prompt_field", "weights", "pred_field",
          "gt_field", "eval_key", "split_file", "compare", "slice_by", "class_field", "name",
          "group", "namer", "cuts", "kind", "by", "other", "path", "format", "tiles", "preset",
          "what", "decision", "colour_by", "protocol", "split")  # fmt: skip
FORMS: dict[str, dict[str, Any]] = {
    "as it opens": {},
    "all of it hostile": dict.fromkeys(_TEXTS, NASTY),
    "names": {"vocabulary": "names", "names": NASTY, "into": NASTY, "advanced": True},
    "a file": {"vocabulary": "file", "file": NASTY, "field": "ovsam", "overwrite": True},
    "a field": {"vocabulary": "field", "class_field": NASTY, "prompts": "box", "field": NASTY},
    "truth": {"field": "ovsam", "gt_field": NASTY, "pred_field": "ovsam", "confirmed": True},
    "a class": {"field": NASTY, "prompts": "find", "find": NASTY, "overwrite": True},
    "estimate": {"field": "ovsam", "into": NASTY, "estimate": True},
}


def rendered(told: Any) -> Iterator[str]:
    """All that FiftyOne's App would render as Markdown of a form, a notice or a panel."""
    if isinstance(told, dict):
        view = told.get("view")
        if isinstance(view, dict):
            yield from (view[key] for key in _RENDERED if isinstance(view.get(key), str))
            if view.get("name") == "MarkdownView" and isinstance(told.get("default"), str):
                yield told["default"]
        for each in told.values():
            yield from rendered(each)
    elif isinstance(told, list):
        for each in told:
            yield from rendered(each)


def ours() -> list[foo.Operator]:
    found = OperatorRegistry().list_operators(builtin=False)
    return [each for each in found if each.uri.startswith("@ovsam/")]


def test_no_form_obeys_a_name(hostile: fo.Dataset) -> None:
    shown: list[str] = []
    for operator in ours():
        for filled, params in FORMS.items():
            request = {"dataset_name": hostile.name, "params": dict(params)}
            ctx = ExecutionContext(request, operator_uri=operator.uri)
            form = operator.resolve_input(ctx)
            for text in rendered(form.to_json()) if form is not None else ():
                shown.append(text)
                assert not _SHOWN.search(text), f"{operator.name}, {filled}: {text}"
    # It has been there to be shown: in errors, and in what a run's removal lists.
    assert sum("evil" in text for text in shown) > 10
    assert any(text.startswith("This will be removed") and "evil" in text for text in shown)


def test_no_outcome_obeys_a_name(hostile: fo.Dataset) -> None:
    results: dict[str, Any] = {"error": NASTY, "told": NASTY, "field": NASTY}
    for operator in ours():
        for filled in (results, {**results, "error": None}):
            request = {"dataset_name": hostile.name, "results": filled}
            ctx = ExecutionContext(request, operator_uri=operator.uri)
            assert ctx.results == filled
            outcome = operator.resolve_output(ctx)
            for text in rendered(outcome.to_json()) if outcome is not None else ():
                assert not _SHOWN.search(text), f"{operator.name}: {text}"
    evaluated = foo.execute_operator(
        "@ovsam/curation/evaluate",
        {"dataset": hostile, "params": {
            "pred_field": "ovsam", "gt_field": NASTY, "protocol": "everything",
            "resize_masks": True, "slice_by": "tags", "eval_key": "e", "compare": "truth",
        }},
    )  # fmt: skip
    tables = evaluated.result["tables"]
    assert "evil" in tables
    assert not _SHOWN.search(tables)


def test_where_scheduled_work_goes_is_shown_as_it_is(hostile: fo.Dataset) -> None:
    class Ops:
        def show_output(self, form: Any, results: Any) -> Any:
            return form

    class Ctx:
        ops = Ops()

    (operator,) = [each for each in ours() if each.name == "export_clean"]
    scheduling = importlib.import_module(
        f"{type(operator).__module__.rpartition('.')[0]}.scheduling"
    )
    told = list(rendered(scheduling.tell_scheduled(Ctx(), f"it is written to {NASTY}")))
    assert any("evil" in text for text in told)
    assert not any(_SHOWN.search(text) for text in told)
