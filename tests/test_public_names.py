"""What `ovsam_plugin` offers, and what importing it costs."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ovsam_plugin

ROOT = Path(__file__).parent.parent
# Neither of a dataset nor of a field.
ELSEWHERE = {"open_image", "decisions.decided", "decisions.reviewer"}


def public_functions() -> dict[str, Callable[..., Any]]:
    """Those of the package, of its public modules and of its sessions."""
    found: dict[str, Callable[..., Any]] = {}
    for name in ovsam_plugin.__all__:
        public = getattr(ovsam_plugin, name)
        if inspect.isfunction(public):
            found[name] = public
        elif inspect.ismodule(public):
            for inner, function in inspect.getmembers(public, inspect.isfunction):
                if function.__module__ == public.__name__ and not inner.startswith("_"):
                    found[f"{name}.{inner}"] = function
    return found


FUNCTIONS = public_functions()
METHODS = {
    f"Session.{name}": method
    for name, method in inspect.getmembers(ovsam_plugin.Session, inspect.isfunction)
    if not name.startswith("_")
}


@pytest.mark.parametrize("name", ovsam_plugin.__all__)
def test_a_public_name_is_there_and_explained(name: str) -> None:
    found = getattr(ovsam_plugin, name)
    assert found.__doc__
    assert len(found.__doc__.strip()) > 20


def test_a_field_has_its_usual_name_and_comes_right_after_the_samples() -> None:
    for name, function in FUNCTIONS.items():
        parameters = list(inspect.signature(function).parameters)
        assert not {"field", "into"} & set(parameters), name
        if name in ELSEWHERE:
            continue
        assert parameters[0] == {"views.as_patches": "view", "decisions.make_ready": "dataset"}.get(
            name, "samples"
        ), name
        if name.partition(".")[0] in ("views", "decisions"):
            assert parameters[1] == "label_field", name
        fields = [each for each in parameters if each in ("pred_field", "gt_field", "label_field")]
        assert fields == sorted(fields, key=("pred_field", "gt_field", "label_field").index), name


@pytest.mark.parametrize("name", [*FUNCTIONS, *METHODS])
def test_every_parameter_is_typed_and_explained(name: str) -> None:
    function = {**FUNCTIONS, **METHODS}[name]
    signature = inspect.signature(function)
    text = inspect.getdoc(function) or ""
    parts = re.split(r"\n\n(Args|Returns|Raises):\n", text)
    told = dict(zip(parts[1::2], parts[2::2]))
    assert parts[0], "what it does"
    names = [each for each in signature.parameters if each != "self"]
    for each in names:
        parameter = signature.parameters[each]
        assert parameter.annotation is not parameter.empty, each
        assert parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL), each
        explained = re.findall(r"^ {4}([\w, \n]+?):", told.get("Args", "") + "\n", re.MULTILINE)
        assert any(re.search(rf"\b{each}\b", some) for some in explained), each
    assert signature.return_annotation is not signature.empty
    if signature.return_annotation not in ("None", None):
        assert told.get("Returns")
    if "samples" in names:  # which may be no dataset at all
        assert told.get("Raises")


def test_a_name_that_is_not_there_says_so() -> None:
    with pytest.raises(AttributeError, match="no attribute 'label_datasets'"):
        _ = ovsam_plugin.label_datasets


def test_importing_it_brings_no_torch_and_no_fiftyone() -> None:
    program = "import sys, ovsam_plugin; print({'torch', 'fiftyone'} & set(sys.modules))"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_reference_page_has_every_public_name() -> None:
    page = (ROOT / "docs" / "reference.md").read_text()
    assert [name for name in ovsam_plugin.__all__ if name not in page] == []
