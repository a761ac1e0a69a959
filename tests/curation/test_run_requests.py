"""Forms about a run are read with their defaults, and what does not fit is told."""

from __future__ import annotations

import pytest

from ovsam_plugin.curation.run_requests import (
    DECISIONS,
    DecisionRequest,
    ExportRequest,
    GroupRequest,
    LearnRequest,
    RemovalRequest,
    ScoreRequest,
    WorkspaceRequest,
)
from ovsam_plugin.dataset.form import Form


def test_an_empty_form_has_the_defaults() -> None:
    assert LearnRequest.read({}) == LearnRequest(overwrite=False, estimate=False)
    assert RemovalRequest.read({"field": None}).confirmed is False
    assert ExportRequest.read({}).format == "coco"


def test_numbers_come_as_the_app_sends_them() -> None:
    assert ScoreRequest.read({"share": "0.25"}).share == 0.25
    assert GroupRequest.read({"group": 3, "name": "cup"}) == GroupRequest(group=3, name="cup")


@pytest.mark.parametrize(
    ("form", "params"),
    [
        (DecisionRequest, {"decision": "burn"}),
        (ExportRequest, {"format": "../coco"}),
        (WorkspaceRequest, {"colour_by": ["label"]}),
        (GroupRequest, {"group": "the third"}),
        (RemovalRequest, {"confirmed": "perhaps"}),
    ],
)
def test_what_does_not_fit_is_told_by_its_name(form: type[Form], params: dict[str, object]) -> None:
    read = form.read(params)
    with pytest.raises(ValueError, match=next(iter(params))):
        read.check_read()


def test_every_decision_of_the_form_is_read() -> None:
    assert [DecisionRequest.read({"decision": d}).decision for d in DECISIONS] == list(DECISIONS)
