"""The counts behind a review's charts."""

from __future__ import annotations

import json

import fiftyone as fo
import pytest

from ovsam_plugin.curation import review_figures
from ovsam_plugin.curation.decisions import accept
from ovsam_plugin.curation.review_figures import BINS, ReviewFigures, figures
from ovsam_plugin.curation.review_queue import Filters
from ovsam_plugin.dataset.fields import declare_fields

FIELD = "ovsam"


def test_figures_count_what_is_open_each_without_its_own_filter(
    labelled: fo.Dataset, ids: dict[str, str]
) -> None:
    accept(labelled, FIELD, ids["cat"])
    found = figures(labelled, FIELD)
    assert found.classes == (("cup", 2), ("dog", 1), ("person", 1), ("spoon", 1))
    assert (len(found.histogram), sum(found.histogram), found.matching) == (BINS, 5, 5)
    assert found.histogram[18] == 0

    found = figures(labelled, FIELD, Filters(classes=("cup",), confidence=(0.6, 1)))
    assert found.classes == (("cup", 1), ("person", 1))
    assert sum(found.histogram) == 2
    assert found.matching == 1


def test_a_confidence_of_one_is_in_the_last_bin(labelled: fo.Dataset, ids: dict[str, str]) -> None:
    labelled.set_label_values(f"{FIELD}.detections.confidence", {ids["cat"]: 1.0})
    assert figures(labelled, FIELD).histogram[-1] == 1


def test_a_field_without_labels_has_empty_figures(dataset: fo.Dataset) -> None:
    declare_fields(dataset, FIELD)
    assert figures(dataset, FIELD) == ReviewFigures()


def test_figures_come_back_through_json_with_the_classes_that_are_drawn(
    labelled: fo.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = figures(labelled, FIELD)
    filters = Filters(classes=("spoon",))
    assert ReviewFigures.from_state(json.loads(json.dumps(found.to_state(filters)))) == found
    monkeypatch.setattr(review_figures, "_COUNTED", 1)
    kept = ReviewFigures.from_state(found.to_state(filters))
    assert kept.classes == (("cup", 2), ("spoon", 1))


def test_one_instance_less_is_what_counting_again_would_give(
    labelled: fo.Dataset, ids: dict[str, str]
) -> None:
    before = figures(labelled, FIELD)
    accept(labelled, FIELD, [ids["cat"], ids["cup"]])
    assert before.less("cat", 0.9).less("cup", 0.5) == figures(labelled, FIELD)
    assert before.less("cat", None).histogram == before.histogram


def test_no_confidence_is_in_no_bin(labelled: fo.Dataset, ids: dict[str, str]) -> None:
    none = {ids["cat"]: None, ids["cup"]: float("nan")}
    labelled.set_label_values(f"{FIELD}.detections.confidence", none)
    found = figures(labelled, FIELD)
    assert (sum(found.histogram), found.histogram[-1], found.matching) == (4, 0, 6)
    assert figures(labelled, FIELD, Filters(confidence=(0, 1))).matching == 4
