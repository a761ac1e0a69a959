"""What a panel's script asks, and how it hears of what went wrong."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from operators.panels.question import Question


class Fails(Question):
    name = "fails"
    changes = True

    def answer(self, ctx: Any, params: dict[str, Any]) -> dict[str, Any]:
        raise params["error"]


def asked(**params: Any) -> Any:
    return SimpleNamespace(params=params)


@pytest.mark.parametrize("error", [ValueError("it is gone"), FileNotFoundError("it is gone")])
def test_what_a_person_did_wrong_comes_back_as_a_problem(error: Exception) -> None:
    assert Fails().execute(asked(error=error)) == {"problem": "it is gone"}


def test_what_the_program_did_wrong_is_not_hidden() -> None:
    with pytest.raises(KeyError):
        Fails().execute(asked(error=KeyError("ids")))


def test_a_question_is_in_no_menu_and_says_whether_it_changes_labels() -> None:
    config = Fails().config
    assert (config.name, config.unlisted, config.risk_level.value) == ("fails", True, "medium")
    assert Question().config.risk_level.value == "low"
