"""The labels that are to be decided about, found in a real database or refused."""

from __future__ import annotations

import fiftyone as fo
import pytest
from bson import ObjectId

from ovsam_plugin.curation import decided_labels
from ovsam_plugin.curation.decisions import Progress, accept, progress
from ovsam_plugin.curation.decisions import reject as reject_labels

from .test_decisions import everything

FIELD = "ovsam"


def test_a_label_is_found_with_its_sample_and_what_was_decided_but_without_its_mask(
    labelled: fo.Dataset, ids: dict[str, str]
) -> None:
    accept(labelled, FIELD, ids["cat"], by="ada")
    (found,) = decided_labels.find(labelled, FIELD, [ObjectId(ids["cat"])]).values()
    assert str(found["sample"]) == labelled.first().id
    assert (found["label"], found["reviewed_by"]) == ("cat", "ada")
    assert "mask" not in found
    assert list(decided_labels.last_decided(labelled, FIELD, "ada") or ()) == [found["_id"]]
    assert decided_labels.last_decided(labelled, FIELD, "ben") is None


@pytest.mark.parametrize("count", [250_000, 700_000])
def test_more_ids_than_a_query_holds_are_looked_for_in_parts(
    labelled: fo.Dataset, ids: dict[str, str], count: int
) -> None:
    ghosts = [f"{i:024x}" for i in range(count)]
    with pytest.raises(ValueError, match=f"{count} of {count + 1} labels are not in field"):
        accept(labelled, FIELD, [*ghosts, ids["cat"]])
    assert labelled.count(f"{FIELD}.detections.review") == 0


def test_unknown_ids_are_refused_and_nothing_is_written(
    labelled: fo.Dataset, ids: dict[str, str]
) -> None:
    before = everything(labelled)
    ghost = str(ObjectId())
    with pytest.raises(ValueError, match=f"1 of 2 labels are not in field 'ovsam'.*{ghost}"):
        accept(labelled, FIELD, [ids["cat"], ghost])
    with pytest.raises(ValueError, match="24 hexadecimal digits"):
        accept(labelled, FIELD, [ids["cat"], "cat"])
    assert everything(labelled) == before


def test_labels_of_a_deleted_sample_are_refused(labelled: fo.Dataset, ids: dict[str, str]) -> None:
    labelled.delete_samples([labelled.first().id])
    with pytest.raises(ValueError, match="3 of 4 labels.*were deleted"):
        reject_labels(labelled, FIELD, [ids[n] for n in ("cat", "dog", "cup", "person")])
    assert progress(labelled, FIELD) == Progress(open=3)


def test_labels_of_another_field_are_refused(labelled: fo.Dataset, ids: dict[str, str]) -> None:
    labelled.add_sample_field("boxes", fo.EmbeddedDocumentField, embedded_doc_type=fo.Detections)
    with pytest.raises(ValueError, match="not in field 'boxes'"):
        accept(labelled, "boxes", ids["cat"])
    with pytest.raises(ValueError, match="there is no field 'box'.*'boxes'"):
        accept(labelled, "box", ids["cat"])
