"""The container's files, as far as they can be looked at without building it."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's, in their order."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines()]
    found = [line.split(None, 1) for line in lines if line and not line.startswith("#")]
    return [(name, rest) for name, rest in found]


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """Those of compose.yml."""
    content: dict[str, Any] = yaml.safe_load((ROOT / "compose.yml").read_text())
    return content["services"]


def test_what_is_copied_is_there_and_reaches_the_build(instructions: list[tuple[str, str]]) -> None:
    lines = (ROOT / ".dockerignore").read_text().split()
    let_through = [line[1:] for line in lines if line.startswith("!")]
    assert lines[0] == "*"
    copied = [name for kind, rest in instructions if kind == "COPY" for name in rest.split()[:-1]]
    assert len(copied) > 7
    for name in copied:
        assert (ROOT / name).exists(), name
        assert any(fnmatch(name, pattern) for pattern in let_through), name


def test_every_argument_is_used_and_every_instruction_known(
    instructions: list[tuple[str, str]],
) -> None:
    known = {"ARG", "FROM", "RUN", "WORKDIR", "COPY", "ENV", "USER", "EXPOSE", "STOPSIGNAL", "CMD"}
    assert {kind for kind, _ in instructions} <= known
    for kind, rest in instructions:
        if kind == "ARG":
            name = rest.split("=")[0]
            assert any(
                re.search(rf"\${{?{name}\b", other) for what, other in instructions if what != "ARG"
            ), name


def test_it_runs_as_a_user_without_rights_and_has_what_the_package_needs(
    instructions: list[tuple[str, str]],
) -> None:
    kinds = [kind for kind, _ in instructions]
    assert kinds.index("USER") > max(i for i, kind in enumerate(kinds) if kind == "RUN")
    assert dict(instructions)["USER"] != "root"
    environment = dict(instructions)["ENV"]
    # Alone in a container it would not hear SIGTERM, and be killed ten seconds later.
    assert dict(instructions)["STOPSIGNAL"] == "SIGINT"
    for name in ("FIFTYONE_PLUGINS_DIR", "FIFTYONE_DEFAULT_APP_ADDRESS", "OVSAM_CACHE_DIR"):
        assert name in environment


def test_app_worker_and_database_belong_together(services: dict[str, Any]) -> None:
    assert services.keys() == {"mongo", "app", "worker"}
    for name in ("app", "worker"):
        assert services[name]["depends_on"]["mongo"]["condition"] == "service_healthy"
        assert services[name]["environment"]["FIFTYONE_DATABASE_URI"] == "mongodb://mongo:27017"
        assert any(volume.endswith("/photos:ro") for volume in services[name]["volumes"])
    assert "fiftyone delegated launch" in services["worker"]["command"][-1]


def test_nothing_listens_beyond_this_machine(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", ())]
    assert ports == ["127.0.0.1:5151:5151"]
