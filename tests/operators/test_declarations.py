"""What operators declare of themselves: to the App, and to agents that choose among them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone.operators.executor import ExecutionContext, ExecutionError
from fiftyone.operators.registry import OperatorRegistry

ROOT = Path(__file__).parents[2]
PLUGIN = "@ovsam/curation"
# What is shown, and not asked.
_NOTICES = {"Error", "Notice", "Warning", "Header", "MarkdownView", "Button", "LabelValueView"}


@pytest.fixture(scope="module")
def listed() -> list[Any]:
    """The operators that a person finds in the App's list."""
    operators = OperatorRegistry().list_operators(builtin=False)
    ours = [each for each in operators if each.uri.startswith(f"{PLUGIN}/")]
    found = [each for each in ours if not each.config.unlisted and hasattr(each, "resolve_input")]
    assert len(found) > 8
    return found


def test_an_operator_says_what_it_does_and_what_it_risks(listed: list[Any]) -> None:
    for operator in listed:
        config = operator.config
        assert len(config.label) > 3, config.name
        assert len(config.description or "") > 20, config.name
        assert config.risk_level is not None, config.name
        assert config.risk_level.value in ("low", "medium", "high"), config.name


def test_what_a_panel_asks_says_its_risk_too() -> None:
    operators = OperatorRegistry().list_operators(builtin=False)
    asked = [each.config for each in operators if each.uri.startswith(f"{PLUGIN}/")]
    risks = {c.name: c.risk_level.value for c in asked if c.unlisted and c.risk_level is not None}
    assert {name for name, risk in risks.items() if risk == "medium"} >= {
        "review_act",
        "segment_change",
    }
    for name in ("review_open", "review_picture", "segment_ask", "segment_look", "segment_ahead"):
        assert risks[name] == "low", name


def test_the_page_for_agents_has_every_operator_at_its_risk(listed: list[Any]) -> None:
    page = (ROOT / "docs" / "skill.md").read_text()
    rows = dict(re.findall(r"^\| (low|medium|high): [^|]+\| ([^|]+) \|$", page, flags=re.MULTILINE))
    for operator in listed:
        config = operator.config
        assert f"`{config.name}`" in rows[config.risk_level.value], config.name
    assert sum(row.count("`") // 2 for row in rows.values()) == len(listed)


def test_every_question_of_a_form_has_a_type_and_words(
    listed: list[Any], labelled: fo.Dataset
) -> None:
    questions = 0
    for operator in listed:
        request = {"dataset_name": labelled.name, "params": {}}
        ctx = ExecutionContext(request, operator_uri=operator.uri)
        form = operator.resolve_input(ctx).to_json()
        for name, asked in form["type"]["properties"].items():
            view = asked["view"] or {}
            if view.get("name") in _NOTICES or name == "view_target":
                continue
            questions += 1
            where = f"{operator.name}: {name}"
            assert asked["type"]["name"] in ("String", "Boolean", "Number", "Enum", "List"), where
            assert view.get("label"), where
    assert questions > 20


@pytest.mark.parametrize("delegated", [False, True])
def test_a_script_that_misspells_a_question_is_told_which_there_are(
    listed: list[Any], labelled: fo.Dataset, delegated: bool
) -> None:
    before = labelled.to_dict()
    ctx = {"dataset": labelled, "params": {"label_feild": "new"}}
    for operator in listed:
        with pytest.raises(ExecutionError):
            foo.execute_operator(operator.uri, ctx, request_delegation=delegated)
    with pytest.raises(ExecutionError, match=r"label has no label_feild: it has .*\bfield\b"):
        foo.execute_operator(f"{PLUGIN}/label", ctx, request_delegation=delegated)
    assert labelled.to_dict() == before


def test_a_form_keeps_answers_to_what_it_does_not_ask_now(
    listed: list[Any], labelled: fo.Dataset
) -> None:
    def problem(operator: Any, **request: Any) -> bool:
        ctx = ExecutionContext(
            {"dataset_name": labelled.name, **request}, operator_uri=operator.uri
        )
        return "params_problem" in operator.resolve_input(ctx).to_json()["type"]["properties"]

    for operator in listed:
        assert problem(operator, params={"another": 1}), operator.name
        # The App, whose form may have asked it before, and the worker that the App hands it to.
        assert not problem(operator, params={"another": 1}, filters={}), operator.name
        assert not problem(operator, params={"another": 1}, delegated=True), operator.name
        hidden = dict.fromkeys(operator.request.questions())
        assert not problem(operator, params=hidden), operator.name
