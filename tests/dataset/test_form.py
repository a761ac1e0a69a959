"""Values of forms, read as what their fields are."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import pytest

from ovsam_plugin.curation.finding_request import FindingRequest
from ovsam_plugin.curation.requests import NamingRequest, RelabelRequest
from ovsam_plugin.dataset.form import Form
from ovsam_plugin.dataset.request import LabelRequest
from ovsam_plugin.evaluation.request import EvaluationRequest


def test_what_is_blank_or_of_another_question_has_its_default() -> None:
    request = RelabelRequest.read({"field": "", "into": None, "min_confidence": 0.3, "else": 1})
    assert request == RelabelRequest(min_confidence=0.3)
    assert RelabelRequest.read({"overwrite": "all"}).overwrite == "all"
    assert NamingRequest.read({}, field="drawn").field == "drawn"
    assert NamingRequest.read({"field": "other"}, field="drawn").field == "other"


@pytest.mark.parametrize(
    ("form", "name", "value", "told"),
    [
        (RelabelRequest, "min_confidence", "high", "enter a number"),
        (NamingRequest, "fill", "perhaps", "this is either on or off"),
        (NamingRequest, "field", ["drawn"], "enter text"),
        (EvaluationRequest, "iou", {}, "enter a number"),
        (FindingRequest, "group", 1.5, "enter a whole number"),
        (LabelRequest, "tiles", 3.5, "enter text"),
    ],
)
def test_what_cannot_be_read_is_told_at_its_question_and_never_passed_over(
    form: type[Form], name: str, value: Any, told: str
) -> None:
    request = form.read({name: value})
    assert getattr(request, name) == getattr(form(), name)
    assert request.problems_of({}) == {name: told}
    with pytest.raises(ValueError, match=f"^{name}: {told}$"):
        request.check_read()


def test_forms_with_such_values_do_nothing(named: fo.Dataset) -> None:
    finding = FindingRequest.from_params({"percent": "few"}, named)
    assert finding.problems(named) == {"percent": "enter a number"}
    relabel = RelabelRequest.read({"vocabulary": "coco", "min_confidence": "high"})
    label = LabelRequest.from_params({"vocabulary": "coco", "min_objectness": "high"})
    assert relabel.problems(named) == {"min_confidence": "enter a number"}
    assert label.problems(named)["min_objectness"] == "enter a number"
    for asked in (
        lambda: finding.view(named),
        *(lambda r=r: r.arguments(named) for r in (relabel, label)),
    ):
        with pytest.raises(ValueError, match="enter a number"):
            asked()


def test_a_menu_gives_text_for_a_number(named: fo.Dataset) -> None:
    assert FindingRequest.from_params({"kind": "group", "group": "2"}, named).group == 2
    assert LabelRequest.from_params({"min_objectness_15": "0.4"}).min_objectness == 0.4
