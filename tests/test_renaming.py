"""Old names of keywords, for one release."""

from __future__ import annotations

import ast
import inspect
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from ovsam_plugin.renaming import renamed

ROOT = Path(__file__).resolve().parents[1]


def old_names() -> list[tuple[str, str, str, str]]:
    """Module, function, old and new name of every keyword that has been renamed."""
    found = []
    for path in sorted((ROOT / "ovsam_plugin").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for function in ast.parse(path.read_text()).body:
            for call in getattr(function, "decorator_list", ()):
                if ast.unparse(getattr(call, "func", call)) == "renamed":
                    for word in call.keywords:
                        found.append((module, function.name, word.arg, word.value.value))
    return found


@renamed(field="pred_field", into="label_field")
def named(
    samples: str, *, pred_field: str = "ovsam", label_field: str | None = None
) -> list[object]:
    """Gives back what it got."""
    return [samples, pred_field, label_field]


def test_an_old_name_is_taken_with_a_warning_that_points_at_the_caller() -> None:
    with pytest.warns(DeprecationWarning, match=r"named\(into=...\) is now label_field=") as told:
        found = named("s", into="new")  # type: ignore[call-arg]
    assert found == ["s", "ovsam", "new"]
    assert [warning.filename for warning in told] == [__file__]


def test_the_new_names_are_taken_without_a_word_and_shown() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert named("s", pred_field="p", label_field="l") == ["s", "p", "l"]
    assert list(inspect.signature(named).parameters) == ["samples", "pred_field", "label_field"]


def test_both_names_at_once_and_unknown_ones_are_refused() -> None:
    with pytest.raises(TypeError, match="field is now called pred_field: give only one of the two"):
        named("s", field="a", pred_field="b")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected keyword argument 'feild'"):
        named("s", feild="a")  # type: ignore[call-arg]


@pytest.mark.parametrize(("module", "name", "old", "new"), old_names())
def test_a_function_takes_its_old_name_as_its_new_one(
    monkeypatch: pytest.MonkeyPatch, module: str, name: str, old: str, new: str
) -> None:
    function: Any = getattr(import_module(module), name)
    signature = inspect.signature(function.__wrapped__)
    assert new in signature.parameters
    assert old not in signature.parameters

    def bound(*args: Any, **kwargs: Any) -> dict[str, Any]:
        return signature.bind(*args, **kwargs).arguments

    bound.__name__ = name
    # What is called behind the old names, without the work of the function itself.
    cells = dict(zip(function.__code__.co_freevars, function.__closure__))
    monkeypatch.setattr(cells["function"], "cell_contents", bound)
    needed = {
        each.name: each.name
        for each in signature.parameters.values()
        if each.default is each.empty and each.name != new
    }
    told = rf"^{name}\({old}=...\) is now {new}=...; {old} will be removed in the next release$"
    with pytest.warns(DeprecationWarning, match=told) as warned:
        found = function(**needed, **{old: "chosen"})
    assert [warning.filename for warning in warned] == [__file__]
    assert found == function(**needed, **{new: "chosen"}) == {**needed, new: "chosen"}


def test_the_functions_with_old_names_are_found() -> None:
    assert len(old_names()) >= 18
