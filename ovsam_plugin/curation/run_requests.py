"""Filled-in forms about one run or one field, read before anything is done with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ovsam_plugin.curation.clean_export import FORMATS
from ovsam_plugin.dataset.form import Form, one_of

DECISIONS = ("accept", "rename", "reject", "models_name", "reopen", "undo")


@dataclass(frozen=True, kw_only=True)
class RunRequest(Form):
    """The values of a form about a run: its field, None for the first."""

    field: str | None = None


@dataclass(frozen=True, kw_only=True)
class ScoreRequest(RunRequest):
    """Those of `score`: also the share of instances that count as unknown."""

    share: float | None = None


@dataclass(frozen=True, kw_only=True)
class LearnRequest(RunRequest):
    """Those of `learn`: also the new field, whether it is made again, whether the form shows what
    it is worth, and whether that is all that is wanted."""

    into: str | None = None
    overwrite: bool = False
    preview: bool = False
    estimate: bool = False


@dataclass(frozen=True, kw_only=True)
class ClassRequest(RunRequest):
    """Those of `make_class`: also the class's name, and whether it is read as words."""

    name: str = ""
    words: bool = True
    into: str | None = None
    overwrite: bool = False


@dataclass(frozen=True, kw_only=True)
class GroupRequest(RunRequest):
    """Those of `name_group`: also which group, its name, and who names it."""

    group: int | None = None
    name: str = ""
    by: str = ""


@dataclass(frozen=True, kw_only=True)
class WorkspaceRequest(RunRequest):
    """Those of `setup_workspace`: also what colours go by."""

    colour_by: Annotated[str, one_of("label", "review")] = "label"


@dataclass(frozen=True, kw_only=True)
class RemovalRequest(RunRequest):
    """Those of `remove_run`: also whether it is confirmed."""

    confirmed: bool = False


@dataclass(frozen=True, kw_only=True)
class DecisionRequest(Form):
    """Those of `decide`: what is decided, about what, by whom, and the name or evaluation it
    needs."""

    decision: Annotated[str, one_of(*DECISIONS)] = "accept"
    what: str | None = None
    field: str | None = None
    name: str = ""
    eval_key: str | None = None
    by: str = ""


@dataclass(frozen=True, kw_only=True)
class ExportRequest(Form):
    """Those of `export_clean`, as it takes them; `half_reviewed` is the opposite of its
    `only_finished`."""

    field: str | None = None
    format: Annotated[str, one_of(*FORMATS)] = "coco"
    path: str = ""
    undecided_above: float | None = None
    half_reviewed: bool = False
    overwrite: bool = False
