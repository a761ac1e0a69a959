"""What `ovsam_plugin` offers, and what importing it costs."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import ovsam_plugin

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("name", ovsam_plugin.__all__)
def test_a_public_name_is_there_and_explained(name: str) -> None:
    found = getattr(ovsam_plugin, name)
    assert found.__doc__
    assert len(found.__doc__.strip()) > 20


def test_fields_are_called_alike_and_no_keyword_is_left_open() -> None:
    for name in ovsam_plugin.__all__:
        found = getattr(ovsam_plugin, name)
        if not inspect.isfunction(found):
            continue
        parameters = inspect.signature(found).parameters
        assert next(iter(parameters)) == ("source" if name == "open_image" else "samples"), name
        assert not {"field", "into"} & set(parameters), name
        kinds = {parameter.kind for parameter in parameters.values()}
        assert not kinds & {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}, name


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
