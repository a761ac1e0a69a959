"""What a call of `apply_model` may write, and what it tells of samples that fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone as fo
import pytest

from ovsam_plugin.curation.decisions import rename
from ovsam_plugin.dataset.model import OvsamModel

CAT = [0.1, 0.1, 0.8, 0.8]
"""Relative box around the cat's head of the first photograph."""


def asks() -> fo.Detections:
    return fo.Detections(detections=[fo.Detection(bounding_box=CAT)])


def test_an_error_is_gone_once_the_sample_can_be_labelled(
    images: list[Path], model: OvsamModel
) -> None:
    hidden = images[0].rename(images[0].with_suffix(".hidden"))
    dataset = fo.Dataset()
    dataset.add_sample(fo.Sample(filepath=str(images[0]), asks=asks()))
    dataset.apply_model(model, label_field="ovsam", box_prompt_field="asks", num_workers=0)
    assert dataset.first().ovsam_error is not None
    hidden.rename(images[0])
    dataset.apply_model(model, label_field="ovsam", box_prompt_field="asks", num_workers=0)
    assert dataset.first().ovsam_error is None
    assert len(dataset.first().ovsam.detections) == 1
    dataset.delete()


def test_a_view_that_changes_under_the_labels_is_never_mislabelled(
    dataset: fo.Dataset, model: OvsamModel
) -> None:
    loader = model.build_get_item()
    sample, other = dataset.limit(2)
    loaded = loader({"id": other.id, "filepath": other.filepath})
    with pytest.raises(ValueError, match="the view changed while it was labelled"):
        model.predict_all([loaded], samples=[sample])


@pytest.mark.parametrize("what", ["decided", "drawn"])
def test_what_a_person_made_is_not_replaced_without_a_word(
    dataset: fo.Dataset, model: OvsamModel, what: str
) -> None:
    dataset.set_values("asks", [asks() for _ in dataset])
    settings: dict[str, Any] = {
        "label_field": "ovsam", "box_prompt_field": "asks", "num_workers": 0, "progress": False,
    }  # fmt: skip
    dataset.apply_model(model, **settings)
    dataset.apply_model(model, **settings)  # its own it may
    sample = dataset.last()
    if what == "decided":
        rename(dataset, "ovsam", sample["ovsam"].detections[0].id, "lynx")
    else:
        sample["ovsam"].detections.append(fo.Detection(label="lynx", bounding_box=CAT))
        sample.save()
    before = dataset.values("ovsam.detections.id")
    with pytest.raises(
        ValueError, match=r"would be replaced \(1 that .*\): give another label_field"
    ):
        dataset.apply_model(model, **settings)
    dataset.reload()
    assert dataset.values("ovsam.detections.id") == before
    assert "lynx" in dataset.last()["ovsam"].detections[-1].label
    # The others hold none of it.
    dataset[:2].apply_model(model, **settings)
    assert dataset.values("ovsam.detections.id")[2] == before[2]
    dataset.clear_sample_field("ovsam")
    dataset.apply_model(model, **settings)
    assert dataset.count("ovsam.detections") == 3
