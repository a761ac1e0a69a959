"""What a person made is counted, and replaced only with a consent of its own."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import pytest

from ovsam_plugin import label_dataset
from ovsam_plugin.curation.decisions import accept, rename
from ovsam_plugin.dataset.model import OvsamModel
from ovsam_plugin.dataset.overwriting import MadeByHand, check_replaceable, edited, made_by_hand


def change(dataset: fo.Dataset, index: int, **values: Any) -> None:
    """One of the first sample's labels, as a person edits it in the App."""
    sample = dataset.first()
    for name, value in values.items():
        sample["ovsam"].detections[index][name] = value
    sample.save()


def test_labels_of_a_run_that_nobody_touched_may_be_replaced(named: fo.Dataset) -> None:
    assert not made_by_hand(named, "ovsam")
    for overwrite in (False, True, "all"):
        check_replaceable(named, "ovsam", overwrite)  # type: ignore[arg-type]
        check_replaceable(named, "not there", overwrite)  # type: ignore[arg-type]


def test_each_label_that_a_person_made_counts_once(named: fo.Dataset) -> None:
    first, second, _ = (d.id for d in named.first()["ovsam"].detections)
    change(named, 0, bounding_box=[0, 0, 0.5, 0.5])
    change(named, 1, label="mug")
    assert made_by_hand(named, "ovsam") == MadeByHand("ovsam", edited=2)
    assert edited(named, "ovsam") == {first, second}
    accept(named, "ovsam", first)
    rename(named, "ovsam", named.last()["ovsam"].detections[0].id, "lynx")
    sample = named.last()
    sample["ovsam"].detections.append(fo.Detection(label="drawn", bounding_box=[0, 0, 1, 1]))
    sample.save()
    found = made_by_hand(named, "ovsam")
    assert found == MadeByHand("ovsam", decided=2, foreign=1, edited=1)
    told = "2 that a person decided about, 1 that no run made, 1 that were changed by hand"
    assert str(found) == told
    with pytest.raises(ValueError, match=f'on request \\({told}\\): .*overwrite="all"'):
        check_replaceable(named, "ovsam", True)
    check_replaceable(named, "ovsam", "all")


def test_a_person_s_own_field_is_all_foreign(named: fo.Dataset) -> None:
    assert made_by_hand(named, "asks") == MadeByHand("asks", foreign=9)
    with pytest.raises(ValueError, match="'asks' holds labels .* \\(9 that no run made\\)"):
        check_replaceable(named, "asks", True)


def test_of_a_view_only_its_samples_count_and_all_of_their_labels(named: fo.Dataset) -> None:
    first = named.first()["ovsam"].detections
    accept(named, "ovsam", [first[0].id, named.last()["ovsam"].detections[0].id])
    assert made_by_hand(named.limit(1), "ovsam").decided == 1
    hidden = named.limit(1).select_labels(ids=[first[1].id])
    assert made_by_hand(hidden, "ovsam").decided == 1


@pytest.mark.parametrize("given", ["yes", "ALL", None, 2])
def test_another_word_is_no_consent(named: fo.Dataset, given: Any) -> None:
    with pytest.raises(ValueError, match='overwrite is False, True or "all", got'):
        check_replaceable(named, "ovsam", given)


def test_an_edit_is_seen_where_no_embeddings_are_kept_and_whoever_labelled(
    boxed: fo.Dataset, model: OvsamModel
) -> None:
    settings: dict[str, Any] = {
        "vocabulary": "cat, cup", "box_field": "asks", "device": "cpu", "workers": 0,
        "embeddings": False, "progress": False,
    }  # fmt: skip
    label_dataset(boxed, **settings)
    change(boxed, 0, bounding_box=[0, 0, 0.5, 0.5])
    with pytest.raises(ValueError, match="1 that were changed by hand"):
        label_dataset(boxed, **settings, overwrite=True)
    applied = {"box_prompt_field": "asks", "num_workers": 0, "progress": False}
    boxed.apply_model(model, label_field="applied", **applied)
    sample = boxed.first()
    sample["applied"].detections[0].bounding_box = [0, 0, 0.5, 0.5]
    sample.save()
    with pytest.raises(ValueError, match="1 that were changed by hand"):
        boxed.apply_model(model, label_field="applied", **applied)
