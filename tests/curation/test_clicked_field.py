"""A field that a person fills by clicking."""

from __future__ import annotations

import fiftyone as fo
import pytest

from ovsam_plugin.curation.clicked_field import ClickedField
from ovsam_plugin.curation.search import search
from ovsam_plugin.curation.segment_panel import vocabulary_of_text
from ovsam_plugin.interactive.session import Instance
from ovsam_plugin.interactive.shared_network import Photograph, load_shared_network
from ovsam_plugin.prediction.prompts import Points
from tests.operators.panels.test_segment import CAT, NAMES, change


def test_what_was_clicked_is_found_by_words(dataset: fo.Dataset) -> None:
    cat, cup, _ = dataset.values("id")
    change(dataset, cat, "add", **CAT)
    change(dataset, cup, "add", box=[160, 20, 415, 260])
    ClickedField(dataset, "clicked", load_shared_network().predictor).file()
    dataset.reload()
    (best,) = search(dataset, "a cup", pred_field="clicked", k=1)
    assert best.sample_id == cup


@pytest.fixture
def clicked(dataset: fo.Dataset) -> tuple[fo.Dataset, ClickedField, Instance]:
    """A field that is not there yet, and a cat that was clicked in the first photograph."""
    network = load_shared_network()
    photograph = Photograph.of(dataset.first().filepath)
    answers = network.answer(photograph, Points(((230, 120),)), vocabulary_of_text(NAMES))
    return dataset, ClickedField(dataset, "clicked", network.predictor), Instance(answers)


def test_nothing_is_declared_until_something_is_added(
    clicked: tuple[fo.Dataset, ClickedField, Instance],
) -> None:
    dataset, field, instance = clicked
    assert dataset.get_field("clicked") is None
    label_id = field.add(dataset.first().id, instance, name="tabby", by="ada")
    dataset.reload()
    (label,) = dataset.first().clicked.detections
    assert (label.id, label.label, label.reviewed_by) == (label_id, "tabby", "ada")
    assert (label.review, label.predicted_label) == ("renamed", "cat")
    assert dataset.list_runs() == ["clicked"]


def test_a_sample_or_label_that_is_gone_is_told_and_nothing_written(
    clicked: tuple[fo.Dataset, ClickedField, Instance],
) -> None:
    dataset, field, instance = clicked
    sample_id, other = dataset.values("id")[:2]
    label_id = field.add(sample_id, instance)
    for call in (
        lambda: field.rename(other, label_id, "lynx"),
        lambda: field.remove(other, label_id),
        lambda: field.redraw(sample_id, "0" * 24, instance),
        lambda: field.rename(sample_id, "no id", "lynx"),
        lambda: field.redraw(sample_id, label_id, instance, merged=["0" * 24]),
    ):
        with pytest.raises(ValueError, match="somebody has removed it"):
            call()
    dataset.delete_samples([other])
    with pytest.raises(ValueError, match="no longer in the dataset"):
        field.add(other, instance)
    dataset.reload()
    assert dataset.count("clicked.detections") == 1


def test_a_field_of_something_else_is_refused_at_once(
    clicked: tuple[fo.Dataset, ClickedField, Instance],
) -> None:
    dataset, _, _ = clicked
    with pytest.raises(ValueError, match="StringField"):
        ClickedField(dataset, "filepath", load_shared_network().predictor)
