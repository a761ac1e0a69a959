"""A label field that holds something: gone on with, begun anew by consent, or refused."""

from __future__ import annotations

import logging
from typing import Any

import fiftyone as fo
import pytest

from ovsam_plugin import LabelSummary, label_dataset
from ovsam_plugin.curation.decisions import accept
from ovsam_plugin.dataset import labeling, runs
from ovsam_plugin.dataset.model import OvsamModel
from ovsam_plugin.dataset.request import LabelRequest

SMALL: dict[str, Any] = {
    "vocabulary": "cat, cup, person, spoon",
    "device": "cpu",
    "workers": 0,
    "progress": False,
    "box_field": "asks",
}


def label(samples: Any, **settings: Any) -> LabelSummary:
    return label_dataset(samples, **{**SMALL, **settings})


def label_ids(dataset: fo.Dataset, field: str = "ovsam") -> list[list[str] | None]:
    ids: list[list[str] | None] = dataset.values(f"{field}.detections.id")
    return ids


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"vocabulary": "dog, cat"}, "vocabulary_hash was"),
        ({"min_confidence": 0.5}, "min_confidence was None, now 0.5"),
        ({"box_field": None}, "prompt_fields was"),
    ],
)
def test_other_settings_on_a_filled_field_are_refused_by_name(
    boxed: fo.Dataset, changed: dict[str, Any], named: str
) -> None:
    label(boxed)
    before = label_ids(boxed)
    with pytest.raises(ValueError, match=named) as error:
        label(boxed, **changed)
    assert "use another field, or pass overwrite=True" in str(error.value)
    assert label_ids(boxed) == before


def test_overwrite_starts_again_with_the_new_settings(boxed: fo.Dataset) -> None:
    label(boxed)
    before = label_ids(boxed)
    summary = label(boxed, vocabulary="dog, fork", overwrite=True)
    assert (summary.labelled, summary.kept) == (3, 0)
    assert not {str(i) for i in before} & {str(i) for i in label_ids(boxed)}
    assert set(boxed.distinct("ovsam.detections.label")) <= {"dog", "fork"}
    assert boxed.get_run_info("ovsam").config.vocabulary != SMALL["vocabulary"]
    assert len(runs.sessions(boxed, "ovsam")) == 1


def test_overwriting_a_view_never_mixes_settings_nor_removes_what_it_does_not_show(
    boxed: fo.Dataset,
) -> None:
    label(boxed)
    before = label_ids(boxed)
    with pytest.raises(ValueError, match="2 samples outside this view have labels"):
        label(boxed.limit(1), vocabulary="dog, fork", overwrite=True)
    assert label_ids(boxed) == before
    label(boxed.limit(1), overwrite=True)
    after = label_ids(boxed)
    assert after[0] != before[0]
    assert after[1:] == before[1:]


def test_a_view_that_hides_the_field_is_labelled_again_as_the_others(boxed: fo.Dataset) -> None:
    label_dataset(boxed, **SMALL)
    hiding = boxed.select_fields("asks")
    assert label_dataset(hiding, **SMALL).kept == 3
    request = {"prompts": "box", "prompt_field": "asks", "vocabulary": "names", "field": "ovsam"}
    request["names"] = SMALL["vocabulary"]
    assert LabelRequest.from_params(request).left(hiding) == 0
    other = {**SMALL, "vocabulary": "dog, bird"}
    assert label_dataset(hiding, **other, overwrite=True).labelled == 3
    assert set(boxed.distinct("ovsam.detections.label")) <= {"dog", "bird"}


def test_labels_of_unknown_origin_are_not_touched(boxed: fo.Dataset) -> None:
    before = label_ids(boxed, "asks")
    boxed.clone_sample_field("asks", "mine")
    with pytest.raises(ValueError, match="no labelling run made them"):
        label(boxed, label_field="mine")
    assert label_ids(boxed, "mine") == before


def test_decisions_that_overwriting_removes_are_told(
    boxed: fo.Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    label(boxed)
    accept(boxed, "ovsam", boxed.first()["ovsam"].detections[0].id)
    before = label_ids(boxed)
    with pytest.raises(ValueError, match="on request \\(1 that a person decided about\\)"):
        label(boxed, overwrite=True)
    assert label_ids(boxed) == before
    with caplog.at_level(logging.WARNING):
        label(boxed, overwrite="all")
    assert "the decisions about 1 labels in field 'ovsam' were removed" in caplog.text


def test_a_decision_that_is_made_while_the_model_loads_is_kept(
    boxed: fo.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    label(boxed)
    build = labeling.build_model

    def build_slowly(**settings: Any) -> OvsamModel:
        accept(boxed, "ovsam", boxed.first()["ovsam"].detections[0].id)
        return build(**settings)

    monkeypatch.setattr(labeling, "build_model", build_slowly)
    with pytest.raises(ValueError, match="1 that a person decided about"):
        label(boxed, overwrite=True)
    boxed.reload()
    assert boxed.count_values("ovsam.detections.review")["accepted"] == 1
