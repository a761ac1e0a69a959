"""Options that several commands have."""

from __future__ import annotations

import pytest

from .calling import COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_gives_what_came_out_as_json_and_says_where_an_error_came_from(
    name: str,
) -> None:
    for flag in ("--json", "--debug"):
        (option,) = [param for param in COMMANDS[name].params if flag in param.opts]
        assert option.is_flag


@pytest.mark.parametrize("name", COMMANDS)
def test_what_a_person_made_is_never_replaced_by_the_smaller_consent(name: str) -> None:
    options = {option for param in COMMANDS[name].params for option in param.opts}
    assert ("--overwrite" in options) == ("--overwrite-all" in options)
