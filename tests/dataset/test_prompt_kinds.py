"""The table of the kinds of prompt: what a new one needs, and that no other file need know it."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import fiftyone as fo
import numpy as np
import pytest

from ovsam_plugin import LabelSummary, label_dataset
from ovsam_plugin.dataset import labeling, runs
from ovsam_plugin.dataset.model import OvsamModel
from ovsam_plugin.dataset.prompt_kinds import (
    PROMPT_KINDS,
    PromptKind,
    check_prompt_keys,
    label_types,
    prompt_fields_of,
)
from ovsam_plugin.dataset.request import LabelRequest
from ovsam_plugin.prediction.prompts import Inputs, Points, Prompt, Size
from ovsam_plugin.prediction.prompts.prompt import Mapping

SMALL: dict[str, Any] = {"vocabulary": "cat, cup, person, spoon", "workers": 0, "progress": False}


@pytest.mark.parametrize("kind", PROMPT_KINDS.values(), ids=lambda kind: kind.name)
def test_every_kind_is_a_keyword_of_label_dataset(kind: PromptKind) -> None:
    assert kind.keyword in inspect.signature(label_dataset).parameters
    assert prompt_fields_of(**{kind.keyword: "asks"}) == {f"{kind.name}_prompt_field": "asks"}


def test_an_unknown_keyword_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match="'boxes': allowed are box_prompt_field, .*, prompt_field"):
        check_prompt_keys({"boxes": "asks"})
    with pytest.raises(TypeError, match="prompt_field must be the name of a field, got 3"):
        check_prompt_keys({"prompt_field": 3})


def test_a_field_without_a_kind_may_be_of_any_kind_s_labels() -> None:
    every = {label for kind in PROMPT_KINDS.values() for label in kind.labels}
    assert set(label_types("prompt_field")) == every


@dataclass(frozen=True)
class Scribble(Prompt):
    """A kind of prompt that only this file knows: a stroke of a pen over one thing."""

    kind: ClassVar[str] = "scribble"
    stroke: tuple[tuple[float, float], ...]
    id: str | None = None

    def on_image(self, width: int, height: int) -> Scribble:
        self._points().on_image(width, height)
        return self

    def mapped(self, to: Mapping) -> Scribble:
        return replace(self, stroke=self._points().mapped(to).xy)

    def inputs(self, size: Size, frame: Size) -> Inputs:
        return self._points().inputs(size, frame)

    @property
    def shape(self) -> tuple[str, int]:
        return self.kind, len(self.stroke)

    def _points(self) -> Points:
        return Points(self.stroke)


def read_scribble(label: fo.Polyline, size: Size, refine: bool) -> Scribble:
    if label.closed:
        raise ValueError("a scribble has two ends")
    (stroke,) = np.array(label.points) * (size[1], size[0])
    return Scribble(tuple(map(tuple, stroke.tolist())), id=str(label.id))


@pytest.fixture
def scribbled(dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch) -> fo.Dataset:
    """Photographs with a scribble each, and a row for that kind."""
    row = PromptKind(
        name=Scribble.kind,
        labels=(fo.Polylines, fo.Polyline),
        read=read_scribble,
        protocol="center-point",
        title="What is scribbled on",
        description="one thing for each stroke",
        lacking="no field holds strokes",
    )
    monkeypatch.setitem(PROMPT_KINDS, row.name, row)
    line = [[(0.4, 0.5), (0.5, 0.5), (0.6, 0.5)]]
    strokes = [fo.Polyline(points=line, closed=False) for _ in dataset]
    dataset.set_values("drawn", [fo.Polylines(polylines=[stroke]) for stroke in strokes])
    return dataset


def label_by_scribbles(dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch) -> LabelSummary:
    """`label_dataset`, whose keywords are written out, as if there was one for scribbles."""
    given = prompt_fields_of(scribble_field="drawn")
    with monkeypatch.context() as patched:
        patched.setattr(labeling, "prompt_fields_of", lambda **_: given)
        return label_dataset(dataset, device="cpu", **SMALL)


def test_a_new_kind_is_one_class_and_one_row(
    scribbled: fo.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert label_by_scribbles(scribbled, monkeypatch).instances == 3
    assert scribbled.values("ovsam.detections.prompt_type") == [["scribble"]] * 3
    asked = scribbled.values("drawn.polylines.id")
    assert scribbled.values("ovsam.detections.prompt_id") == asked
    recorded = runs.recorded_settings(scribbled, "ovsam")
    assert recorded is not None
    assert recorded["prompt_fields"] == {"scribble_prompt_field": "drawn"}
    points = [fo.Keypoint(points=[(0.4, 0.5), (0.5, 0.5), (0.6, 0.5)]) for _ in scribbled]
    scribbled.set_values("clicks", [fo.Keypoints(keypoints=[one]) for one in points])
    label_dataset(scribbled, point_field="clicks", label_field="pointed", device="cpu", **SMALL)
    boxes = scribbled.values("ovsam.detections.bounding_box")
    assert scribbled.values("pointed.detections.bounding_box") == boxes


def test_a_scribble_that_was_moved_is_asked_again_and_a_closed_one_is_refused(
    scribbled: fo.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, _ = scribbled
    second.drawn.polylines[0].closed = True
    second.save()
    done = label_by_scribbles(scribbled, monkeypatch)
    assert (done.instances, done.failed) == (2, 1)
    assert "a scribble has two ends" in scribbled[second.id].ovsam_error
    first.drawn.polylines[0].points = [[(0.2, 0.3), (0.3, 0.4)]]
    first.save()
    again = label_by_scribbles(scribbled, monkeypatch)
    assert (again.labelled, again.kept) == (1, 2)


def test_a_new_kind_is_a_keyword_of_apply_model_and_a_choice_of_the_form(
    scribbled: fo.Dataset, model: OvsamModel
) -> None:
    scribbled.apply_model(
        model, label_field="o", scribble_prompt_field="drawn", num_workers=0, progress=False
    )
    assert scribbled.values("o.detections.prompt_type") == [["scribble"]] * 3
    form = {"prompts": "scribble", "vocabulary": "names", "names": "cat, cup"}
    request = LabelRequest.from_params(form)
    assert request.prompt_field_choices(scribbled) == ["drawn"]
    assert "prompt_field" in request.problems(scribbled)
    request = LabelRequest.from_params({**form, "prompt_field": "drawn"})
    assert request.problems(scribbled) == {}
    assert request.arguments(scribbled)["scribble_field"] == "drawn"
    (unknown,) = LabelRequest.from_params({**form, "prompts": "boxs"}).problems(scribbled).values()
    assert unknown.startswith("'boxs' cannot be labelled: choose one of everything, find, box,")
